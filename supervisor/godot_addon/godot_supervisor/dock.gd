@tool
extends ScrollContainer
## The dock: shows the daemon and this editor's servers, and asks the daemon for what the user wants.
## It reads a server again only after an event, and draws at most once a frame, and only what has changed.

const Card := preload("dock_card.gd")
const Connect := preload("dock_connect.gd")
const Client := preload("supervisor_client.gd")
const Endpoint := preload("endpoint.gd")
const EditorServer := preload("editor_server.gd")
const LogWindow := preload("dock_log.gd")
const Page := preload("dock_page.gd")
const Parts := preload("dock_parts.gd")
const Problem := preload("dock_problem.gd")
const State := preload("dock_state.gd")
const Words := preload("dock_words.gd")

const COMPILED: Array = []
## What a project gets that names no kind of server.
const DEFAULT_KIND: String = Connect.DEFAULT_KIND
## Subjects of reads that are no servers.
const HISTORY: String = "?history"
const LOG: String = "?log"
const STATUS: String = "?status"
## A daemon that was restarted is back by then.
const AWAY_S: float = 5.0

var _compiled: Variant = COMPILED
var _client: Client = null
## What the plugin has asked for by itself.
var _server: EditorServer = null
var _state: State = State.new()
var _page: Page = null
var _can_start_daemon: bool = false
## Whether the script of a server's card was reloaded. Looked for before drawing, because this takes longer than the rest.
var _has_stale_parts: bool = false
## By kind.
var _connect_lines: Dictionary = {}
var _here: Dictionary = {}
## What the reads are for that the daemon has not answered yet: id -> server, or one of the other subjects.
var _reads: Dictionary = {}
var _away: Timer = Timer.new()
## What is done when the user has confirmed it.
var _confirmed: Callable = Callable()

var _daemon_icon: TextureRect = Parts.icon()
var _daemon: Label = Parts.text()
var _problem: Problem = Problem.new()
var _start_daemon: Button = null
var _notes: Label = Parts.text(Parts.DIM)
var _cards: VBoxContainer = VBoxContainer.new()
var _others: Label = Parts.text(Parts.DIM)
var _question: ConfirmationDialog = ConfirmationDialog.new()
var _log: LogWindow = null



func _init() -> void:
	horizontal_scroll_mode = ScrollContainer.SCROLL_MODE_DISABLED
	follow_focus = true
	var page: VBoxContainer = VBoxContainer.new()
	page.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_cards.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_start_daemon = Parts.button("Start Daemon", "Play", "Start the daemon, which runs until you log out", _on_start_daemon)
	_start_daemon.size_flags_horizontal = Control.SIZE_SHRINK_BEGIN
	var header: Control = Parts.icon_row(_daemon_icon, _daemon)
	for part: Control in [header, _notes, _start_daemon, _problem, _cards, _others] as Array[Control]:
		page.add_child(part)
	add_child(page)
	_question.confirmed.connect(func() -> void: _confirmed.call())
	add_child(_question)
	_away.one_shot = true
	_away.timeout.connect(_on_away)
	add_child(_away)
	set_process(false)
	visibility_changed.connect(_redraw)


## Follow the daemon by a client that is or will be open. [param server] is what the plugin asks for by itself.
func follow(client: Client, server: EditorServer) -> void:
	_client = client
	_server = server
	_here = {"pid": OS.get_process_id(), "project": EditorServer.project_folder(), "version": client.client_version}
	_page = Page.new(_state, _here)
	_on_server_changed()
	server.changed.connect(_on_server_changed)
	client.connected.connect(_on_connected)
	client.disconnected.connect(_on_disconnected)
	client.resync.connect(_on_resync)
	client.event.connect(_on_event)
	client.notified.connect(_on_notified)
	client.accepted.connect(_on_accepted)
	client.progress.connect(_on_progress)
	client.completed.connect(_on_completed)
	client.failed.connect(_on_failed)
	client.start_failed.connect(_on_start_failed)
	client.subscribe(true)
	if client.is_ready():
		# This dock takes the place of another one.
		_state.take_connected({})
		_reads[client.send("status")] = STATUS
	_redraw()


## Follow the daemon no longer.
func leave() -> void:
	for link: Dictionary in get_incoming_connections():
		var source: Signal = link["signal"]
		if source.get_object() == _client or source.get_object() == _server:
			source.disconnect(link["callable"] as Callable)


## Return whether the dock and its parts have all their members: not after a reload of their scripts. Called each frame.
func is_current() -> bool:
	return is_same(_compiled, COMPILED) and _state.is_current() and not _has_stale_parts


static func _is_current_part(part: Node) -> bool:
	return not part is Card or (part as Card).is_current()


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED and is_node_ready():
		Parts.paint_all(self)
	elif what == NOTIFICATION_READY:
		Parts.paint_all(self)


func _process(_delta: float) -> void:
	set_process(false)
	if _client == null or not is_visible_in_tree() or not is_current():
		return
	_has_stale_parts = not _cards.get_children().all(_is_current_part)
	if _has_stale_parts:
		return
	_read_next()
	_draw_page(_page.compose())


func _redraw() -> void:
	set_process(true)


func _draw_page(page: Dictionary) -> void:
	var daemon: Dictionary = page["daemon"]
	Parts.set_icon(_daemon_icon, daemon["icon"] as String)
	Parts.set_text(_daemon, daemon["text"] as String, daemon["tooltip"] as String)
	Parts.set_colour(_daemon, daemon["colour"] as String)
	Parts.set_text(_notes, "\n".join(PackedStringArray(page["notes"] as Array)))
	_problem.show_problem(page["problem"] as Dictionary)
	_start_daemon.visible = _state.connection == State.Daemon.LOST and _can_start_daemon
	var cards: Array = page["cards"]
	Parts.set_count(_cards, cards.size() * 2, _make_card)
	for index: int in cards.size():
		var card: Dictionary = cards[index]
		(_cards.get_child(index * 2 + 1) as Card).show_card(card, _connect_line(card))
	var others: Dictionary = page["others"]
	Parts.set_text(_others, others.get("text", "") as String, others.get("tooltip", "") as String)


## Return the next child of the list of servers: a line between two, or a server.
func _make_card() -> Control:
	if _cards.get_child_count() % 2 == 0:
		return HSeparator.new()
	var card: Card = Card.new()
	card.start_pressed.connect(_on_start)
	card.restart_pressed.connect(_on_restart)
	card.stop_pressed.connect(_on_stop)
	card.connect_pressed.connect(func(shown: Dictionary) -> void: DisplayServer.clipboard_set(_connect_line(shown)))
	card.log_pressed.connect(_on_log)
	return card


## Return the command that adds the MCP bridge to Claude Code. It is made once for each connection.
func _connect_line(card: Dictionary) -> String:
	var kind: String = card["kind"]
	if not _connect_lines.has(kind):
		_connect_lines[kind] = Connect.line(kind, Endpoint.home_folder() if _client.home.is_empty() else _client.home)
	return _connect_lines[kind]


# --- what the daemon says

func _on_connected(hello: Dictionary) -> void:
	_away.stop()
	_reads = {}
	_connect_lines = {}
	_state.take_connected(hello)
	_redraw()


func _on_disconnected(error: Dictionary) -> void:
	_state.take_disconnected(error)
	if _state.connection == State.Daemon.AWAY:
		_away.start(AWAY_S)
	_look_for_start()
	_redraw()


func _on_away() -> void:
	_state.give_up(_client.last_problem())
	_look_for_start()
	_redraw()


## Find out whether this editor could start the daemon.
func _look_for_start() -> void:
	_can_start_daemon = false
	if _state.connection == State.Daemon.LOST:
		if _client.is_starting():
			_state.connection = State.Daemon.STARTING
		else:
			_can_start_daemon = _client.start_problem().is_empty()


func _on_start_daemon() -> void:
	_state.connection = State.Daemon.STARTING
	_client.start_daemon()
	_redraw()


func _on_start_failed(error: Dictionary) -> void:
	if _state.connection != State.Daemon.HERE:
		_state.connection = State.Daemon.LOST
		_state.problem = error
		_look_for_start()
		_redraw()


## The plugin has asked for this project's server, or has an answer.
func _on_server_changed() -> void:
	_here["kind"] = DEFAULT_KIND if _server.kind.is_empty() else _server.kind
	_here["problem"] = _server.problem
	_here["is_waiting"] = _server.is_waiting_for_plugin
	var request: int = _server.request()
	if request != 0:
		_state.actions[request] = {"action": "start", "server": "", "kind": _server.kind, "progress": {}}
	_redraw()


func _on_resync(snapshot: Dictionary) -> void:
	_state.take_snapshot(snapshot, Time.get_unix_time_from_system())
	_redraw()


func _on_event(event: Dictionary) -> void:
	_state.take_event(event)
	_redraw()


func _on_notified(method: String, details: Dictionary) -> void:
	if method == "calls":
		_state.take_calls(details)
		_redraw()


## Read one thing that has changed. The next is read after the answer, so a burst of events is a few reads.
func _read_next() -> void:
	if not _client.is_ready() or not _reads.is_empty():
		return
	if _state.is_history_stale:
		_state.is_history_stale = false
		_reads[_client.send("server.history")] = HISTORY
	elif not _state.stale.is_empty():
		var id: String = _state.stale.keys()[0]
		_state.stale.erase(id)
		_reads[_client.send("server.get", {"server": id})] = id


func _on_completed(id: int, result: Variant) -> void:
	var details: Dictionary = result if result is Dictionary else {}
	if _reads.has(id):
		var subject: String = _reads[id]
		_reads.erase(id)
		match subject:
			HISTORY:
				_state.take_history(details.get("servers"))
			LOG:
				_log.show_lines(details)
			STATUS:
				_on_resync(details)
			_:
				_state.take_server(details, Time.get_unix_time_from_system())
	elif _state.actions.has(id):
		_state.actions.erase(id)
		if details.has("state"):
			_state.take_server(details, Time.get_unix_time_from_system())
	else:
		return
	_redraw()


func _on_failed(id: int, error: Dictionary) -> void:
	if _reads.has(id):
		var subject: String = _reads[id]
		_reads.erase(id)
		if subject == LOG:
			_log.show_problem(error)
		elif subject != HISTORY and error.get("code") == "NOT_FOUND":
			_state.forget_server(subject)
	elif _state.actions.has(id):
		_note_failure(_state.actions[id] as Dictionary, error)
		_state.actions.erase(id)
	else:
		return
	_redraw()


func _note_failure(action: Dictionary, error: Dictionary) -> void:
	if error.get("code") == "CANCELLED":
		return
	var server: String = action["server"]
	for each: Dictionary in _page.compose()["cards"] as Array:
		if server.is_empty() and each["kind"] == action["kind"]:
			server = each["id"]
	_state.errors[server] = error


func _on_accepted(id: int, details: Dictionary) -> void:
	if _state.actions.has(id):
		_state.actions[id]["request"] = details.get("request")


func _on_progress(id: int, details: Dictionary) -> void:
	if _state.actions.has(id):
		_state.actions[id]["progress"] = details
		_redraw()


# --- what the user wants

func _on_start(card: Dictionary) -> void:
	var params: Dictionary = {"kind": card["kind"]}
	params.merge(_requester())
	_act("server.ensure", params, "start", card)


func _on_restart(card: Dictionary) -> void:
	_confirm("Restart", card, func(force: bool) -> void: _act("server.restart", _named(card, force), "restart", card))


func _on_stop(card: Dictionary) -> void:
	for action: Dictionary in _state.actions.values():
		var is_start: bool = action["action"] == "start" and action["kind"] == card["kind"]
		if is_start and action.get("request") is String:
			var params: Dictionary = {"request": action["request"]}
			params.merge(_requester())
			_client.send("request.cancel", params)
			return
	_confirm("Stop", card, func(force: bool) -> void: _act("server.stop", _named(card, force), "stop", card))


func _on_log(card: Dictionary) -> void:
	if _log == null:
		_log = LogWindow.new()
		_log.refresh_wanted.connect(_read_log)
		add_child(_log)
	_log.show_server(card["log"] as String)


func _read_log(server: String) -> void:
	_reads[_client.send("logs.read", {"server": server, "lines": LogWindow.LINES})] = LOG


## Return who asks: this editor, by the id that the daemon gave it, or by its process.
func _requester() -> Dictionary:
	var id: String = _page.editor_id()
	return {"editor": id} if not id.is_empty() else {"owner": {"pid": _here["pid"], "project": _here["project"]}}


func _named(card: Dictionary, force: bool) -> Dictionary:
	var params: Dictionary = {"server": card["id"]}
	var editor: String = _page.editor_id()
	if not editor.is_empty():
		params["editor"] = editor
	if force:
		params["force"] = true
	return params


## Do something to a server, after the user has seen who else uses it. [param act] gets whether busy editors are overridden.
func _confirm(verb: String, card: Dictionary, act: Callable) -> void:
	var users: Dictionary = _page.other_users(_state.servers.get(card["id"], {}) as Dictionary)
	var names: Array[String] = users["names"]
	if names.is_empty():
		act.call(false)
		return
	_confirmed = act.bind(users["is_busy"])
	_question.title = "%s %s?" % [verb, card["title"]]
	_question.dialog_text = "This server is also used by:\n- %s" % "\n- ".join(PackedStringArray(names))
	_question.ok_button_text = "%s for All" % verb
	_question.popup_centered()
	# A key that was pressed once too often stops nothing.
	_question.get_cancel_button().grab_focus()


func _act(method: String, params: Dictionary, action: String, card: Dictionary) -> void:
	var server: String = card["id"]
	_state.errors.erase(server)
	var kept: Dictionary = {"action": action, "server": server, "kind": card["kind"], "progress": {}}
	_state.actions[_client.send(method, params)] = kept
	_redraw()
