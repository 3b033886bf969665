@tool
extends RefCounted
## What the dock knows: the daemon's answers and events, put together. Asks nothing, draws nothing, reads no clock.
## `dock_page.gd` says what is shown of it. Everything is kept in plain dictionaries, which survive a reload of scripts.

enum Daemon { LOOKING, AWAY, LOST, STARTING, HERE }

const COMPILED: Array = []

## Whether the daemon is there. AWAY: it was until a moment ago, and may be back soon.
var connection: Daemon = Daemon.LOOKING
## Why there is no daemon, as an error of the protocol.
var problem: Dictionary = {}
## What the daemon says of itself, in `hello` and in `status`.
var daemon: Dictionary = {}
## Each by id, as the protocol has them.
var editors: Dictionary = {}
var servers: Dictionary = {}
var clients: Dictionary = {}
## The last launch of each server that has ended, by the server's id.
var ended: Dictionary = {}
## Servers of which something has changed: they have to be read again. Id -> true, in the order of their events.
var stale: Dictionary = {}
var is_history_stale: bool = false
## Requests of the dock that run, by id: `action`, `server` ("" for one that does not exist yet), `kind`, and `progress`.
var actions: Dictionary = {}
## The last failure of an action, by the server's id.
var errors: Dictionary = {}

var _compiled: Variant = COMPILED


## Return whether all members are there: not after a reload of this script.
func is_current() -> bool:
	return is_same(_compiled, COMPILED)


func take_connected(hello: Dictionary) -> void:
	connection = Daemon.HERE
	problem = {}
	daemon = hello.duplicate()
	is_history_stale = true
	# Calls and times of servers are no events, so they may have changed since the last connection.
	for id: String in servers:
		stale[id] = true


func take_disconnected(error: Dictionary) -> void:
	connection = Daemon.AWAY if connection == Daemon.HERE else Daemon.LOST
	problem = error


## The daemon has not come back, because of this error.
func give_up(error: Dictionary) -> void:
	if connection == Daemon.AWAY:
		connection = Daemon.LOST
		problem = error if not error.is_empty() else problem
		servers = {}
		clients = {}
		stale = {}
		errors = {}


## Take all that there is: the result of `status`. [param now] is the wall time in seconds.
func take_snapshot(snapshot: Dictionary, now: float) -> void:
	daemon.merge(_dictionary(snapshot.get("daemon")), true)
	editors = _by_id(snapshot.get("editors"))
	clients = _by_id(snapshot.get("clients"))
	servers = _by_id(snapshot.get("servers"))
	stale = {}
	for id: String in servers:
		_note_due_time(servers[id] as Dictionary, now)
	# Of very many servers some are left out. Those of editors are read one by one.
	for editor: Dictionary in editors.values():
		for id: Variant in (editor["servers"] if editor.get("servers") is Array else []):
			if not servers.has(id):
				stale[id] = true


func take_server(server: Dictionary, now: float) -> void:
	var id: String = str(server.get("id", ""))
	_note_due_time(server, now)
	servers[id] = server
	if server.get("state") == "ready":
		errors.erase(id)
	if server.get("state") == "stopped":
		forget_server(id)


func forget_server(id: String) -> void:
	servers.erase(id)
	stale.erase(id)
	is_history_stale = true


## Take the result of `server.history`.
func take_history(rows: Variant) -> void:
	ended = _by_id(rows)


func take_event(event: Dictionary) -> void:
	var details: Dictionary = _dictionary(event.get("details"))
	var server: Variant = event.get("server")
	match event.get("event"):
		"daemon.stopping":
			daemon["stopping"] = true
		"editor.attached", "editor.state", "editor.ended", "editor.gone":
			_take_editor_event(event["event"] as String, str(event.get("editor")), details)
		"client.attached", "client.detached", "client.ended":
			_take_client_event(event["event"] as String, details)
		"server.gone":
			forget_server(str(server))
			return
	if server is String:
		stale[server] = true


## Tool calls of these servers have changed: the params of the notification `calls`.
func take_calls(details: Dictionary) -> void:
	if details.get("servers") is Array:
		for id: Variant in details["servers"] as Array:
			if servers.has(id):
				stale[id] = true


func _take_editor_event(event: String, id: String, details: Dictionary) -> void:
	match event:
		"editor.attached":
			var editor: Dictionary = _dictionary(editors.get(id))
			editor.merge({"id": id, "pid": details.get("pid"), "project": details.get("project")}, true)
			editors[id] = editor
		"editor.state":
			if editors.has(id):
				(editors[id] as Dictionary)["busy"] = details.get("reason") if details.get("state") == "busy" else null
		_:
			editors.erase(id)
			_mark_servers_of(id)


func _take_client_event(event: String, details: Dictionary) -> void:
	var id: String = str(details.get("client"))
	match event:
		"client.attached":
			var client: Dictionary = _dictionary(clients.get(id))
			client.merge({"id": id, "connected": true}, true)
			for name: String in ["name", "version", "pid", "project"]:
				client[name] = details.get(name)
			clients[id] = client
		"client.detached":
			if clients.has(id):
				(clients[id] as Dictionary)["connected"] = false
		_:
			clients.erase(id)
	_mark_servers_of(id)


## Mark the servers that this editor or client owns.
func _mark_servers_of(owner: String) -> void:
	for id: String in servers:
		for each: Dictionary in (servers[id] as Dictionary).get("owners", []) as Array:
			if each.get("editor") == owner:
				stale[id] = true


## Keep the wall time at which an orphan is stopped. The daemon says in how many seconds.
static func _note_due_time(server: Dictionary, now: float) -> void:
	var due: Variant = _dictionary(server.get("reap")).get("due_in_s")
	if due is float:
		server["due_at"] = now + (due as float)


static func _by_id(rows: Variant) -> Dictionary:
	var found: Dictionary = {}
	if rows is Array:
		for row: Variant in rows as Array:
			if row is Dictionary:
				found[str((row as Dictionary).get("id"))] = row
	return found


static func _dictionary(value: Variant) -> Dictionary:
	return value if value is Dictionary else {}
