@tool
extends RefCounted
## Asks the daemon for this project's server, once the editor is attached, and says in the output panel what came of it.
##
## A plugin that starts a server by itself goes first: two programs that start one on the same ports would get in each
## other's way. The daemon uses the server that this plugin has started; the plugin uses one that the daemon has.

## Something that is shown has changed.
signal changed

# Preloaded, because the names of classes are not known yet when plugins begin on the first start of a project.
const Client := preload("supervisor_client.gd")
const Choice := preload("server_choice.gd")
const Members := preload("members.gd")

const COMPILED: Array = []
## How long a plugin that starts a server by itself may take. Godot AI watches its own start for as long.
const PLUGIN_START_MS: int = 30 * 1000
const LOOK_AGAIN_MS: int = 1000
const RETRY_MIN_MS: int = 30 * 1000
const RETRY_MAX_MS: int = 10 * 60 * 1000
const BUSY_RETRY_MS: int = 5000
## Errors that are not reported: what is in the way passes by itself.
const PASSING: Array[String] = ["BUSY", "EDITOR_BUSY", "SHUTTING_DOWN"]
## Errors of a daemon that does not know the editor, which it is told at the same time.
const FORGOTTEN: Array[String] = ["EDITOR_GONE", "NOT_FOUND"]
## What `ports.explain` says of a port that holds nothing, and of one that holds nothing of use.
const FREE: String = "use"
const HELD: String = "relocate"

## The kind of this project's server, or "" if it has none.
var kind: String = ""
## The server as the daemon answered last, or {}.
var server: Dictionary = {}
## Why there is no server: an error of the protocol, or {}.
var problem: Dictionary = {}
## Whether another plugin of this editor is starting the server.
var is_waiting_for_plugin: bool = false

var _compiled: Variant = COMPILED
var _client: Client = null
var _editor: String = ""
var _ensure: int = 0
var _look: int = 0
var _history: int = 0
## When to ask next. 0: not at all.
var _due_ms: int = 0
var _began_ms: int = 0
var _was_held: bool = false
var _retry_ms: int = RETRY_MIN_MS
## What was printed last.
var _said: String = ""


func begin(client: Client) -> void:
	_client = client
	_began_ms = Time.get_ticks_msec()
	_client.completed.connect(_on_completed)
	_client.failed.connect(_on_failed)
	Choice.register()
	kind = Choice.kind()
	if ProjectSettings.has_signal("settings_changed"):
		ProjectSettings.connect("settings_changed", _on_settings_changed)


## The daemon knows the editor: ask for its server. `servers` are those that it has already.
func attached(editor: String, servers: Array) -> void:
	_editor = editor
	if kind.is_empty() or editor.is_empty() or _is_asking():
		return
	if server.is_empty():
		ask()
	elif not server.get("id") in servers:
		# It was stopped by a user, and stays so; or a new daemon does not know it.
		_history = _client.send("server.history", {"server": server["id"]})


## The daemon has gone, or has forgotten this editor. What was asked is asked again by the client.
func detached() -> void:
	_editor = ""


## Ask for the server now, also if it was stopped by a user.
func ask() -> void:
	_due_ms = 0
	if kind.is_empty() or _editor.is_empty() or _is_asking():
		return
	if Choice.has_starting_plugin(kind) and Time.get_ticks_msec() < _began_ms + PLUGIN_START_MS:
		is_waiting_for_plugin = true
		changed.emit()
		_look = _client.send("ports.explain", {"kind": kind, "project": project_folder()})
	else:
		_send_ensure()


## Called in each frame.
func poll() -> void:
	if not is_same(_compiled, COMPILED):
		Members.complete(self)
		_compiled = COMPILED
	if _due_ms > 0 and Time.get_ticks_msec() >= _due_ms:
		ask()


## Return the request for the server that the daemon has not answered yet, or 0.
func request() -> int:
	return _ensure


static func project_folder() -> String:
	return ProjectSettings.globalize_path("res://").trim_suffix("/")


func _is_asking() -> bool:
	return _ensure != 0 or _look != 0 or _history != 0


func _send_ensure() -> void:
	is_waiting_for_plugin = false
	_ensure = _client.send("server.ensure", {"kind": kind, "editor": _editor})
	changed.emit()


func _on_settings_changed() -> void:
	if Choice.kind() == kind:
		return
	if not server.is_empty() and not _editor.is_empty():
		_client.send("server.release", {"server": server["id"], "editor": _editor})
	kind = Choice.kind()
	server = {}
	problem = {}
	_said = ""
	_retry_ms = RETRY_MIN_MS
	# An answer that is still to come is about the kind before.
	_ensure = 0
	_look = 0
	_history = 0
	is_waiting_for_plugin = false
	changed.emit()
	ask()


func _on_completed(id: int, result: Variant) -> void:
	var answer: Dictionary = result if result is Dictionary else {}
	match id:
		0:
			pass
		_ensure:
			_ensure = 0
			server = answer
			problem = {}
			_retry_ms = RETRY_MIN_MS
			_say(_ready_text())
			changed.emit()
		_look:
			_look = 0
			_consider(answer)
		_history:
			_history = 0
			_consider_end(answer)


func _on_failed(id: int, error: Dictionary) -> void:
	if id == 0 or not id in [_ensure, _look, _history]:
		return
	var is_ensure: bool = id == _ensure
	_ensure = 0 if is_ensure else _ensure
	_look = 0 if id == _look else _look
	_history = 0 if id == _history else _history
	is_waiting_for_plugin = false
	# A lost connection is reported by the plugin, and the editor is attached to the next daemon.
	if not _client.is_ready() or error.get("code") == "CANCELLED":
		return
	if not is_ensure:
		_send_ensure()
		return
	server = {}
	problem = error
	var is_first: bool = error.get("code") in FORGOTTEN and _retry_ms == RETRY_MIN_MS
	if is_first or error.get("code") in PASSING:
		_retry_ms += 1 if is_first else 0
		_due_ms = Time.get_ticks_msec() + BUSY_RETRY_MS
	else:
		var hint: String = str(error.get("hint", ""))
		_say("no %s server: %s.%s" % [kind, error.get("message"), "" if hint.is_empty() else " To mend it: %s" % hint])
		if error.get("retryable"):
			_due_ms = Time.get_ticks_msec() + _retry_ms
			_retry_ms = mini(_retry_ms * 2, RETRY_MAX_MS)
	changed.emit()


## Ask for the server once the plugin's own listens, or once something else holds the port.
func _consider(report: Dictionary) -> void:
	var ports: Array = report.get("ports", [])
	var decision: String = str((ports[0] as Dictionary).get("decision")) if not ports.is_empty() else ""
	# A server that has just begun to listen does not answer yet, and is not recognised.
	var is_new: bool = decision == HELD and not _was_held
	_was_held = decision == HELD
	if decision == FREE or is_new:
		_due_ms = Time.get_ticks_msec() + LOOK_AGAIN_MS
	else:
		_send_ensure()


func _consider_end(history: Dictionary) -> void:
	var ends: Array = history.get("servers", [])
	server = {}
	if ends.is_empty() or (ends[0] as Dictionary).get("how") != "stopped":
		ask()
	else:
		changed.emit()


func _ready_text() -> String:
	var starter: String = "godot-supervisor"
	if server.get("origin") != "spawned":
		starter = "another program, which may end it"
	var text: String = "%s is ready at %s, started by %s." % [_name(), str(server.get("url")), starter]
	# For example that the plugin does not find the server, because another one has the ports where it looks.
	var notes: Array = server.get("notes", [])
	return notes.reduce(func(sum: String, note: String) -> String: return "%s Note: %s." % [sum, note], text)


func _name() -> String:
	return kind if server.get("version") == null else "%s %s" % [kind, server["version"]]


## Say something once, not again after each connection.
func _say(text: String) -> void:
	if text != _said:
		_said = text
		print("Godot Supervisor: %s" % text)
