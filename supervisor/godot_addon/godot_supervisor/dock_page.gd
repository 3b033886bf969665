@tool
extends RefCounted
## Says what the dock shows of a state (`dock_state.gd`), as plain dictionaries of texts. Draws nothing.

const State := preload("dock_state.gd")
const Words := preload("dock_words.gd")

## How many lines of a log a failure shows.
const LOG_LINES: int = 2
const SERVING: Array[String] = ["ready", "unhealthy"]
## Origins of servers that the daemon found. It does not start them again.
const FOUND: Array[String] = ["discovered", "external"]
## How a server looks in each state: the icon, a colour of the editor's theme, and the text.
const LOOKS: Dictionary = {
	"starting": ["Progress1", "", "Starting"],
	"ready": ["StatusSuccess", "success_color", "Ready"],
	"unhealthy": ["StatusWarning", "warning_color", "Does not answer"],
	"backoff": ["StatusWarning", "warning_color", "Has crashed, and is started again soon"],
	"stopping": ["Progress1", "", "Stopping"],
	"stopped": ["Stop", "", "Stopped"],
	"failed": ["StatusError", "error_color", "Failed"],
}

var _state: State = null
## This editor: `pid`, `project`, `version` of the addon, `kind` of server that it would start.
var _here: Dictionary = {}


func _init(state: State, here: Dictionary) -> void:
	_state = state
	_here = here


## Return the page: `daemon`, `problem`, `notes`, `cards` of servers, and `others`.
func compose() -> Dictionary:
	var page: Dictionary = {"daemon": _daemon(), "problem": {}, "notes": [], "cards": [], "others": {}}
	if _state.connection == State.Daemon.LOST:
		page["problem"] = _daemon_problem()
	elif _state.connection in [State.Daemon.HERE, State.Daemon.AWAY]:
		page["notes"] = _notes()
		var shown: Array[String] = shown_servers()
		for id: String in shown:
			(page["cards"] as Array).append(_card(_state.servers[id] as Dictionary))
		if not shown.any(func(id: String) -> bool: return _is_ours(id) or _is_wanted(id)):
			(page["cards"] as Array).push_front(_empty_card())
		page["others"] = _others(shown)
	return page


## Return the ids of the servers that are shown in full: those of this editor, those that it could use, and orphans.
func shown_servers() -> Array[String]:
	var ours: Array[String] = []
	var others: Array[String] = []
	for id: String in _state.servers:
		var server: Dictionary = _state.servers[id]
		if _is_ours(id):
			ours.append(id)
		elif server.get("project") == null and (_is_wanted(id) or _is_dying(server)):
			others.append(id)
	ours.sort()
	others.sort()
	return ours + others


## Return the id by which the daemon knows this editor, or "".
func editor_id() -> String:
	for id: String in _state.editors:
		if Words.whole((_state.editors[id] as Dictionary).get("pid")) == _here["pid"]:
			return id
	return ""


## Return who else uses a server, each as a text, and whether one of them is busy: `names`, `is_busy`.
func other_users(server: Dictionary) -> Dictionary:
	var names: Array[String] = []
	var is_busy: bool = false
	var working: Array = _list(server.get("calls")).map(func(each: Dictionary) -> Variant: return each.get("client"))
	for owner: Dictionary in _list(server.get("owners")):
		if not _counts(owner) or Words.whole(owner.get("pid")) == _here["pid"]:
			continue
		var editor: Dictionary = _state.editors.get(owner.get("editor"), {})
		if owner.get("client") != null:
			names.append("%s%s" % [_client_name(owner), " (a tool call runs)" if owner["editor"] in working else ""])
		elif editor.get("busy") != null:
			is_busy = true
			names.append("%s (editor, %s)" % [_owner_name(owner), editor["busy"]])
		else:
			names.append("%s (%s)" % [_owner_name(owner), "editor" if editor.has("project") else "process"])
	for lease: Dictionary in _list(server.get("leases")):
		names.append(str(lease.get("holder")))
	return {"names": names, "is_busy": is_busy}


func _daemon() -> Dictionary:
	match _state.connection:
		State.Daemon.LOOKING:
			return {"icon": "Progress1", "colour": "", "text": "Looking for the daemon", "tooltip": ""}
		State.Daemon.AWAY:
			return {"icon": "Progress1", "colour": "", "text": "Waiting for the daemon", "tooltip": ""}
		State.Daemon.STARTING:
			return {"icon": "Progress1", "colour": "", "text": "Starting the daemon", "tooltip": ""}
		State.Daemon.LOST:
			var text: String = Words.sentence(Words.text(_state.problem.get("message")))
			return {"icon": "StatusError", "colour": "", "text": text, "tooltip": ""}
	if _state.daemon.get("stopping") == true:
		return {"icon": "StatusWarning", "colour": "warning_color", "text": "The daemon is stopping", "tooltip": ""}
	var details: Array[String] = ["The daemon starts and stops the MCP servers of this computer's editors."]
	if _state.daemon.has("pid"):
		details.append("Process %d" % Words.whole(_state.daemon["pid"]))
	if _state.daemon.has("home"):
		details.append("Folder %s" % _state.daemon["home"])
	var running: String = "Daemon %s" % _state.daemon.get("version", "")
	return {"icon": "StatusSuccess", "colour": "", "text": running, "tooltip": "\n".join(details)}


## Return what mends that there is no daemon. Why there is none is the first line of the page.
func _daemon_problem() -> Dictionary:
	var problem: Dictionary = Words.problem(_state.problem)
	problem.merge({"message": "", "icon": ""}, true)
	return problem


func _notes() -> Array[String]:
	var notes: Array[String] = []
	var version: String = str(_state.daemon.get("version", _here["version"]))
	if _here["version"] != "0" and version != _here["version"]:
		notes.append(
			"This addon is of release %s, and the daemon of %s. Run in a terminal: godot-supervisor addon update"
			% [_here["version"], version]
		)
	for note: Variant in _list(_state.daemon.get("notes")):
		notes.append(str(note))
	return notes


## Return the card in the place of a server that this editor does not have.
func _empty_card() -> Dictionary:
	var last: Dictionary = _last_ended()
	var kind: String = str(last.get("kind", _here["kind"]))
	var card: Dictionary = {
		"id": "", "kind": kind, "title": kind, "version": "", "icon": "Stop", "colour": "", "state": "Not running",
		"detail": Words.ended(last), "rows": [], "clients": _waiting_clients(),
		"problem": Words.problem(_state.errors.get("", {}) as Dictionary),
		"log": str(last["id"]) if last.has("log") and last["log"] != null else "", "url": "", "start": "Start",
		"can_start": true, "can_restart": false, "can_stop": false, "is_working": false,
	}
	if (card["problem"] as Dictionary).is_empty():
		card["problem"] = Words.problem(_here.get("problem", {}) as Dictionary)
	if _here.get("is_waiting") == true:
		card["detail"] = "A plugin of this editor starts a server by itself. If none is there soon, the daemon starts one."
	_add_action(card, "")
	return card


## Return the last launch that has ended of a server like the one that this editor would have, or {}.
func _last_ended() -> Dictionary:
	var last: Dictionary = {}
	for id: String in _state.ended:
		var row: Dictionary = _state.ended[id]
		var is_near: bool = row.get("project") == _here["project"] or row.get("kind") == _here["kind"]
		if is_near and float(row.get("ended", 0)) > float(last.get("ended", 0)):
			last = row
	return last


func _card(server: Dictionary) -> Dictionary:
	var id: String = server["id"]
	var state: String = str(server.get("state"))
	var look: Array = LOOKS.get(state, ["StatusWarning", "", state])
	var is_ours: bool = _is_ours(id)
	var is_found: bool = server.get("origin") in FOUND
	var owns: bool = _list(server.get("owners")).any(_is_this_editor)
	var card: Dictionary = {
		"id": id, "kind": str(server.get("kind")), "title": id, "version": Words.text(server.get("version")),
		"icon": look[0], "colour": look[1], "state": look[2], "detail": "", "rows": _rows(server),
		"clients": _clients(server), "problem": {}, "log": id if server.get("log") != null else "",
		"url": Words.text(server.get("url")), "start": "Start",
		"can_start": state == "failed" or state == "stopped" or state in SERVING and not owns,
		"can_restart": (state in SERVING or state == "backoff") and not is_found,
		"can_stop": (state in SERVING or state == "backoff") and server.get("origin") != "external",
		"is_working": false,
	}
	if state in SERVING and not owns:
		card["start"] = "Use" if not _is_dying(server) else "Keep"
	var running: Array = _list(server.get("calls")).filter(func(each: Dictionary) -> bool: return each.get("state") == "running")
	if state == "ready" and not running.is_empty():
		card["state"] = "Busy with %s" % ("a tool call" if running.size() == 1 else "%d tool calls" % running.size())
	if _is_dying(server):
		card.merge({"icon": "StatusWarning", "colour": "warning_color", "state": "Is about to be stopped"}, true)
		card["detail"] = Words.dying(server)
	elif not is_ours:
		card["detail"] = "This editor does not use it."
	if server.get("failure") is Dictionary and state != "ready":
		card["problem"] = _failure(server["failure"] as Dictionary, state)
	if _state.errors.has(id):
		card["problem"] = Words.problem(_state.errors[id] as Dictionary)
	_add_action(card, id)
	return card


## Show in a card what the dock has asked for and is not there yet.
func _add_action(card: Dictionary, id: String) -> void:
	for action: Dictionary in _state.actions.values():
		var is_this: bool = action["server"] == id or action["server"] == "" and action["kind"] == card["kind"]
		if is_this and action.get("is_shown", true):
			card.merge({"can_start": false, "can_restart": false, "is_working": true, "icon": "Progress1"}, true)
			card.merge({"colour": "", "state": Words.ACTIONS[action["action"]], "problem": {}, "start": "Start"}, true)
			card["can_stop"] = action["action"] == "start"
			card["detail"] = Words.progress(action["progress"] as Dictionary)


func _failure(failure: Dictionary, state: String) -> Dictionary:
	var lines: Array = _list(failure.get("log_tail"))
	var message: String = Words.failure(failure)
	var tail: Array = lines.slice(maxi(0, lines.size() - LOG_LINES)).map(_stripped)
	var hint: String = "The log says more. Start tries again." if state == "failed" else ""
	return {"message": message, "hint": hint, "command": "", "log": "\n".join(PackedStringArray(tail)), "icon": ""}


func _rows(server: Dictionary) -> Array[Dictionary]:
	var rows: Array[Dictionary] = []
	var ports: Array[String] = []
	var table: Dictionary = server["ports"] if server.get("ports") is Dictionary else {}
	for name: String in table:
		ports.append("%d (%s)" % [Words.whole(table[name]), name])
	if not ports.is_empty():
		rows.append(_row("Ports" if ports.size() > 1 else "Port", ", ".join(ports), Words.text(server.get("url"))))
	var users: Array[String] = []
	for owner: Dictionary in _list(server.get("owners")):
		if owner.get("client") == null and _counts(owner):
			users.append("this editor" if _is_this_editor(owner) else _owner_name(owner))
	for lease: Dictionary in _list(server.get("leases")):
		users.append(str(lease.get("holder")))
	var reasons: Dictionary = server["reap"] if server.get("reap") is Dictionary else {}
	var why: String = "\n".join(PackedStringArray(_list(reasons.get("reasons"))))
	if users.is_empty():
		users.append("until it is stopped" if server.get("until_stopped") == true else "no editor")
	rows.append(_row("Owners", ", ".join(users), why))
	var origin: String = str(server.get("origin"))
	if origin != "spawned":
		rows.append(_row("Started by", "another program", Words.ORIGINS.get(origin, origin) as String))
	for change: Dictionary in _list(server.get("recipe_changes")):
		rows.append(_row("Changed", "%s: restart to use it" % change.get("part"), str(change.get("detail"))))
	for note: Variant in _list(server.get("notes")):
		rows.append(_row("Note", str(note), str(note)))
	return rows


## Return the AI clients of a server: those that own it, and those that run a call there.
func _clients(server: Dictionary) -> Array[Dictionary]:
	var found: Dictionary = {}
	for owner: Dictionary in _list(server.get("owners")):
		if owner.get("client") != null and _counts(owner):
			var known: Dictionary = _state.clients.get(owner["editor"], {})
			var idle: String = "connected" if known.get("connected", true) else "disconnected"
			found[owner["editor"]] = {"name": _client_name(owner), "does": [], "idle": idle, "tooltip": []}
	for running: Dictionary in _list(server.get("calls")):
		var id: Variant = running.get("client")
		if not found.has(id):
			found[id] = {"name": str(running.get("name")), "does": [], "idle": "", "tooltip": []}
		var verb: String = "runs" if running.get("state") == "running" else "waits to run"
		(found[id]["does"] as Array).append("%s %s" % [verb, running.get("tool")])
		(found[id]["tooltip"] as Array).append(Words.call_details(running, _here))
	var rows: Array[Dictionary] = []
	for id: Variant in found:
		var client: Dictionary = found[id]
		var does: String = ", ".join(PackedStringArray(client["does"] as Array))
		var tooltip: String = "\n".join(PackedStringArray([client["name"]] + (client["tooltip"] as Array)))
		var state: String = does if not does.is_empty() else client["idle"]
		rows.append({"name": client["name"], "does": state, "is_busy": not does.is_empty(), "tooltip": tooltip})
	return rows


## Return the AI clients of this project that have no server yet.
func _waiting_clients() -> Array[Dictionary]:
	var rows: Array[Dictionary] = []
	for client: Dictionary in _state.clients.values():
		if client.get("connected") == true and client.get("project") == _here["project"]:
			var name: String = _client_name({"client": client})
			rows.append({"name": name, "does": "connected", "is_busy": false, "tooltip": name})
	return rows


## Return one line about the servers that are not shown, or {}.
func _others(shown: Array[String]) -> Dictionary:
	var lines: Array[String] = []
	for id: String in _state.servers:
		if not id in shown:
			var server: Dictionary = _state.servers[id]
			var look: Array = LOOKS.get(server.get("state"), ["", "", str(server.get("state"))])
			lines.append("%s: %s" % [id, (look[2] as String).to_lower()])
	if lines.is_empty():
		return {}
	lines.sort()
	var text: String = "1 other server" if lines.size() == 1 else "%d other servers" % lines.size()
	return {"text": text, "tooltip": "\n".join(PackedStringArray(lines))}


func _is_ours(id: String) -> bool:
	var server: Dictionary = _state.servers[id]
	var project: Variant = server.get("project")
	return project != null and project == _here["project"] or _list(server.get("owners")).any(_is_this_editor)


## Return whether a server is what this editor would start, and serves all projects.
func _is_wanted(id: String) -> bool:
	var server: Dictionary = _state.servers[id]
	return server.get("project") == null and server.get("kind") == _here["kind"]


func _is_this_editor(owner: Dictionary) -> bool:
	return Words.whole(owner.get("pid")) == _here["pid"] and _counts(owner)


## Return whether an owner keeps its server: it lives, and has not left it.
static func _counts(owner: Dictionary) -> bool:
	return owner.get("liveness") != "dead" and owner.get("leaving") != true


static func _is_dying(server: Dictionary) -> bool:
	var reap: Dictionary = server["reap"] if server.get("reap") is Dictionary else {}
	return reap.get("verdict") in ["suspect", "reap"]


func _owner_name(owner: Dictionary) -> String:
	var editor: Dictionary = _state.editors.get(owner.get("editor"), {})
	var project: Variant = editor.get("project")
	if project is String and not (project as String).is_empty():
		return (project as String).get_file()
	return "%s (process %d)" % [owner.get("editor"), Words.whole(owner.get("pid"))]


static func _client_name(owner: Dictionary) -> String:
	var client: Dictionary = owner["client"]
	var title: String = Words.text(client.get("title"))
	return title if not title.is_empty() else Words.text(client.get("name"))


static func _stripped(line: Variant) -> String:
	return str(line).strip_edges()


static func _row(key: String, value: String, tooltip: String) -> Dictionary:
	return {"key": key, "value": value, "tooltip": tooltip}


static func _list(value: Variant) -> Array:
	return value if value is Array else []
