@tool
extends EditorPlugin
## Attaches this editor to the daemon, tells it when the editor is busy, and detaches when the plugin or the editor ends.

# Preloaded, because the names of classes are not known yet when plugins begin on the first start of a project.
const Client := preload("supervisor_client.gd")
const DockPlace := preload("dock_place.gd")
const EditorServer := preload("editor_server.gd")
const Members := preload("members.gd")
const Surroundings := preload("surroundings.gd")

const COMPILED: Array = []
## How long the daemon believes in `busy`. An import can take minutes in which nothing can be sent.
const BUSY_S: float = 3600.0
const RENEW_BUSY_MS: int = 30 * 60 * 1000
## How long the end of the plugin waits for the daemon, which answers in about two milliseconds.
const DETACH_S: float = 0.25
## A daemon that was restarted is back by then, and nothing has to be said.
const REPORT_AFTER_MS: int = 5000
## Whether an editor that opens starts the daemon where none runs: a setting of the user, for all projects.
const START_SETTING: String = "godot_supervisor/start_daemon_with_editor"
## A daemon that could not attach the editor, or has forgotten it, is asked again after this time.
const ATTACH_AGAIN_MS: int = 5000
## How often the plugin looks at what the editor does. Most frames are shorter.
const LOOK_MS: int = 50

var _compiled: Variant = COMPILED
var _client: Client = null
var _server: EditorServer = null
## The dock in the place that the editor has given it.
var _dock: Control = null
var _files: EditorFileSystem = null
## Requests that the daemon has not answered yet: `editor.attach`, and the last `editor.state`.
var _attach: int = 0
var _state: int = 0
var _attach_due_ms: int = 0
var _look_ms: int = 0
var _editor: String = ""
var _is_importing: bool = false
## What the daemon believes this editor to be busy with; "" means ready.
var _told: String = ""
var _renew_ms: int = 0
## Whether this editor has not looked for a daemon yet, and starts one if it finds none.
var _may_start: bool = false
var _problem: Dictionary = {}
var _report_due_ms: int = 0
## The message that was printed last. "" when all is well.
var _reported: String = ""


func _enter_tree() -> void:
	if not Surroundings.is_wanted():
		return
	_files = EditorInterface.get_resource_filesystem()
	# Nothing can be sent during an import, so it is announced before and after.
	if _files.has_signal("resources_reimporting"):
		_files.connect("resources_reimporting", _on_importing)
	_files.connect("resources_reimported", _on_imported)
	_client = Client.new()
	_client.client_name = "godot-addon"
	_client.client_version = _version()
	_client.connected.connect(_on_connected)
	_client.disconnected.connect(_on_disconnected)
	_client.completed.connect(_on_completed)
	_client.failed.connect(_on_failed)
	_client.start_failed.connect(_on_start_failed)
	_may_start = _wants_daemon()
	add_child(_client)
	_server = EditorServer.new()
	_server.begin(_client)
	_dock = DockPlace.add(self, _client, _server)
	_client.open()


## Return whether the user lets editors start the daemon.
func _wants_daemon() -> bool:
	var settings: EditorSettings = EditorInterface.get_editor_settings()
	if not settings.has_setting(START_SETTING):
		settings.set_setting(START_SETTING, true)
	settings.set_initial_value(START_SETTING, true, false)
	return settings.get_setting(START_SETTING) == true


func _version() -> String:
	var settings: ConfigFile = ConfigFile.new()
	var file: String = (get_script() as Script).resource_path.get_base_dir().path_join("plugin.cfg")
	return str(settings.get_value("plugin", "version", "0")) if settings.load(file) == OK else "0"


func _exit_tree() -> void:
	if _client == null:
		return
	if _files.has_signal("resources_reimporting"):
		_files.disconnect("resources_reimporting", _on_importing)
	_files.disconnect("resources_reimported", _on_imported)
	if not _editor.is_empty() and _client.is_ready():
		_client.send("editor.detach", {"editor": _editor})
		_client.finish(DETACH_S)
	_client.close()
	_client.queue_free()
	_client = null
	_server = null
	DockPlace.remove(self, _dock)
	_dock = null


func _process(_delta: float) -> void:
	# The engine switches this on when the node is ready, also where nothing is wanted.
	if _client == null:
		return
	if not is_same(_compiled, COMPILED):
		Members.complete(self)
		_compiled = COMPILED
	var now_ms: int = Time.get_ticks_msec()
	if now_ms < _look_ms:
		return
	_look_ms = now_ms + LOOK_MS
	# The addon may have been updated from a release without it.
	if _server == null:
		_server = EditorServer.new()
		_server.begin(_client)
		_server.attached(_editor, [])
	if _dock == null:
		_dock = DockPlace.add(self, _client, _server)
	DockPlace.renew(_dock, _client, _server)
	_tell()
	_server.poll()
	if _attach_due_ms > 0 and Time.get_ticks_msec() >= _attach_due_ms:
		_send_attach()
	if _report_due_ms > 0 and Time.get_ticks_msec() >= _report_due_ms and not _client.is_starting():
		_report(_problem)
		_report_due_ms = 0


## Return what keeps this editor busy, or "".
func _activity() -> String:
	if _is_importing:
		return "importing"
	if _files.is_scanning():
		return "scanning the project"
	return "playing" if EditorInterface.is_playing_scene() else ""


## Tell the daemon what this editor does, if that has changed.
func _tell() -> void:
	if _editor.is_empty():
		return
	var activity: String = _activity()
	var is_due: bool = not activity.is_empty() and Time.get_ticks_msec() >= _renew_ms
	if activity == _told and not is_due:
		return
	_told = activity
	_renew_ms = Time.get_ticks_msec() + RENEW_BUSY_MS
	if activity.is_empty():
		_state = _client.send("editor.state", {"editor": _editor, "state": "ready"})
	else:
		_state = _client.send("editor.state", {"editor": _editor, "state": "busy", "reason": activity, "ttl_s": BUSY_S})


func _on_importing(_resources: PackedStringArray) -> void:
	_is_importing = true
	_tell()


func _on_imported(_resources: PackedStringArray) -> void:
	_is_importing = false
	_tell()


func _on_connected(_daemon: Dictionary) -> void:
	_report_due_ms = 0
	_may_start = false
	_send_attach()


func _send_attach() -> void:
	_attach_due_ms = 0
	_editor = ""
	# A daemon that knows this editor answers with what it knows.
	_attach = _client.send("editor.attach", _introduction())


func _introduction() -> Dictionary:
	var engine: Dictionary = Engine.get_version_info()
	var introduction: Dictionary = {
		"pid": OS.get_process_id(),
		"project": EditorServer.project_folder(),
		"engine": "godot",
		"engine_version": "%d.%d.%d" % [engine["major"], engine["minor"], engine["patch"]],
	}
	var token: String = Surroundings.start_token()
	if not token.is_empty():
		introduction["start_token"] = token
	var title: String = str(ProjectSettings.get_setting("application/config/name", "")).strip_edges()
	if not title.is_empty():
		introduction["name"] = title.left(100)
	return introduction


func _on_completed(id: int, result: Variant) -> void:
	if id != _attach or not result is Dictionary:
		return
	_attach = 0
	if not _reported.is_empty():
		_reported = ""
		print("Godot Supervisor: connected.")
	_editor = str((result as Dictionary).get("id", ""))
	# The daemon may remember an activity of this editor.
	_told = "" if (result as Dictionary).get("state") == "ready" else "unknown"
	_tell()
	_server.attached(_editor, (result as Dictionary).get("servers", []) as Array)


func _on_failed(id: int, error: Dictionary) -> void:
	if id != _attach and id != _state:
		return
	var is_state: bool = id == _state
	_attach = 0
	_state = 0
	# A lost connection is reported by itself, and the next one attaches again.
	if not _client.is_ready():
		return
	if is_state or error.get("retryable"):
		_attach_due_ms = Time.get_ticks_msec() + ATTACH_AGAIN_MS
	if not is_state:
		_report(error)


func _on_disconnected(error: Dictionary) -> void:
	_editor = ""
	_server.detached()
	_attach_due_ms = 0
	_problem = error
	_report_due_ms = Time.get_ticks_msec() + REPORT_AFTER_MS
	# A daemon that ends later was stopped by the user, or comes back by itself.
	if _may_start:
		_may_start = false
		_client.start_daemon()


func _on_start_failed(error: Dictionary) -> void:
	_problem = error
	_report_due_ms = Time.get_ticks_msec() + 1


## Say once in the output panel why this editor is not looked after, and what to do.
func _report(error: Dictionary) -> void:
	var message: String = str(error.get("message", ""))
	if message == _reported:
		return
	_reported = message
	var hint: String = str(error.get("hint", ""))
	print("Godot Supervisor: %s.%s" % [message, "" if hint.is_empty() else " To mend it: %s" % hint])
