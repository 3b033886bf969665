@tool
class_name SupervisorClient
extends Node
## Talks to the daemon of godot-supervisor, which owns the MCP servers of Godot editors. Any plugin can use it:
## [codeblock]
## var client := SupervisorClient.new()
## add_child(client)
## client.completed.connect(_on_completed)
## client.open()
## var id := client.send("server.ensure", {"kind": "godot-ai", "owner": SupervisorClient.this_editor()})
## [/codeblock]
## Each request ends with one [signal completed] or [signal failed]. No frame is blocked: the client looks for the
## daemon, connects, and connects again when the daemon was replaced. Requests that may be repeated are then sent again.

## A daemon answers. [param daemon] is its answer to `hello`.
signal connected(daemon: Dictionary)
## No daemon answers, and why. Comes once for each time without a daemon, not for each attempt.
signal disconnected(error: Dictionary)
## The daemon has admitted a request that changes something. `BUSY` cannot follow.
signal accepted(id: int, details: Dictionary)
## A request goes on: `stage`, `message`, and `done` of `total` where the daemon can tell.
signal progress(id: int, details: Dictionary)
signal completed(id: int, result: Variant)
## A request has failed: `code`, `message`, `hint`, `retryable`, and what else the daemon says.
signal failed(id: int, error: Dictionary)
## Something has happened in the daemon; see [method subscribe].
signal event(details: Dictionary)
## Events were missed, or are the first: all that there is, as `status` has it.
signal resync(snapshot: Dictionary)
## A start of the daemon has succeeded: a daemon answers; see [method start_daemon].
signal daemon_started
## A start of the daemon has failed: `message` and `hint` say why, and what to do.
signal start_failed(error: Dictionary)
## Any other notification of the daemon, such as `log`.
signal notified(method: String, details: Dictionary)

enum State { CLOSED, WAITING, CONNECTING, GREETING, READY }

# Preloaded, because the names of classes are not known yet when plugins begin on the first start of a project.
const Connection := preload("connection.gd")
const Endpoint := preload("endpoint.gd")
const DaemonStart := preload("daemon_start.gd")
const Members := preload("members.gd")
const Surroundings := preload("surroundings.gd")

const COMPILED: Array = []
const ACCEPT_S: float = 2.0
const CONNECT_MS: int = 5000
## Added to the daemon's deadline, so that the daemon's own, better error arrives first.
const MARGIN_MS: int = 5000
## How long the daemon may say nothing about an accepted request: three missed heartbeats.
const SILENCE_MS: int = 15000
## Stages whose time the daemon's deadline does not count.
const UNTIMED_STAGES: Array[String] = ["installing", "queued"]
const FRAME_BUDGET_US: int = 2000
## How long [method open] may wait for a daemon, once. `hello` takes a millisecond or two, a ready server three more.
const BEGIN_US: int = 6000
const BEGIN_PAUSE_US: int = 100
## A longer time without a [method poll] is a stall of the editor, and counts for no deadline.
const STALL_MS: int = 500
const BACK_OFF_MIN_MS: int = 250
const BACK_OFF_MAX_MS: int = 4000
const START_LOOK_MS: int = 100
## How long a daemon that was started may take until this client is connected with it.
const STARTED_MS: int = 10000
const MESSAGE_MAX: int = 1024 * 1024 - 1
const FIRST_PRINTABLE: int = 32

## Requests that get an id of ours, by which the daemon knows them again.
const MUTATIONS: Array[String] = ["server.adopt", "server.ensure", "server.restart", "server.stop"]
## Requests that may be sent again without an id: they change nothing, or nothing more.
const REPEATABLE: Array[String] = [
	"editor.attach", "editor.state", "environments.list", "logs.read", "ping", "ports.explain", "server.get",
	"server.history", "server.list", "status",
]
## Requests that start a daemon, if [member may_start_daemon].
const NEED_DAEMON: Array[String] = ["server.adopt", "server.ensure"]
## Requests that another daemon than the one that got them must not get: it would do them a second time.
const ONCE: Array[String] = ["server.restart", "server.stop"]

## Who this client is, for the daemon's log.
var client_name: String = "godot-plugin"
var client_version: String = "0"
## The daemon's home folder. "" means: as the environment names it.
var home: String = ""
## How long a request that may be repeated waits for the next daemon.
var reconnect_s: float = 30.0
## Whether `server.ensure` and `server.adopt` start a daemon where none runs.
var may_start_daemon: bool = false

var _compiled: Variant = COMPILED
var _state: State = State.CLOSED
var _instance: String = ""
var _connection: Connection = null
var _endpoint: Endpoint = null
var _last_id: int = 0
var _hello: int = 0
## Id -> request: method, params, and how far it is. Plain dictionaries survive a reload of this script.
var _requests: Dictionary = {}
var _state_due_ms: int = 0
var _polled_ms: int = 0
var _back_off_ms: int = BACK_OFF_MIN_MS
var _problem: Dictionary = {}
var _has_reported: bool = false
var _last_instance: String = ""
var _wants_events: bool = false
var _wants_calls: bool = false
var _subscription: int = 0
var _since: Dictionary = {}
## Whether a daemon is to be started if the next look finds none.
var _wants_start: bool = false
## The start that this client waits for, by its name. "" if there is none.
var _start: String = ""
var _start_look_ms: int = 0
## When the daemon that was started has to answer. 0 until the start has ended.
var _started_due_ms: int = 0


## Look for the daemon from now on, and stay connected with it.
func open() -> void:
	if _state != State.CLOSED:
		return
	if _instance.is_empty():
		_instance = Crypto.new().generate_random_bytes(8).hex_encode()
	_has_reported = false
	_back_off_ms = BACK_OFF_MIN_MS
	_polled_ms = Time.get_ticks_msec()
	_wait(0)
	# Deferred, so that no signal comes before the caller has done the rest.
	_begin.call_deferred()


## Let a daemon that is there already answer before the next frame, which may be far: an editor that starts needs 0.2 s
## for one, and an editor in the background draws ten in a second.
func _begin() -> void:
	var until_us: int = Time.get_ticks_usec() + BEGIN_US
	poll()
	while _is_beginning() and Time.get_ticks_usec() < until_us:
		OS.delay_usec(BEGIN_PAUSE_US)
		poll()


func _is_beginning() -> bool:
	if _state == State.READY:
		return not _requests.is_empty()
	return _state == State.CONNECTING or _state == State.GREETING


## Leave the daemon. Requests that still run fail with `CANCELLED`; the daemon may complete them.
func close() -> void:
	if _state == State.CLOSED:
		return
	_state = State.CLOSED
	_wants_start = false
	_start = ""
	_drop_connection()
	for id: int in _requests.keys():
		_fail(id, _error("CANCELLED", "the client was closed", "", true))
	_subscription = 0


func is_ready() -> bool:
	return _state == State.READY


## Start the daemon, unless one answers. Ends with [signal daemon_started] or [signal start_failed]. Never waits: the
## start runs beside the editor, one at a time for all plugins.
func start_daemon() -> void:
	if is_starting():
		return
	if _state == State.READY:
		daemon_started.emit()
		return
	_wants_start = true
	if _state == State.CLOSED:
		open()
	elif _state == State.WAITING:
		_wait(0)


## Return whether a start of the daemon runs that this client waits for.
func is_starting() -> bool:
	return _wants_start or not _start.is_empty()


## Return why [method start_daemon] could start nothing: an error, empty if it could. Reads one small file.
func start_problem() -> Dictionary:
	var how: DaemonStart = DaemonStart.new()
	how.read(_home())
	return how.problem


## Return why the last look for a daemon found none, as an error. {} if there was no such look since the last connection.
func last_problem() -> Dictionary:
	return {} if is_ready() else _problem.duplicate()


## Return this editor as an `owner` of servers. Its start token, where it is known, keeps another process of its number
## from counting as the owner.
static func this_editor() -> Dictionary:
	var project: String = ProjectSettings.globalize_path("res://").trim_suffix("/")
	var editor: Dictionary = {"pid": OS.get_process_id(), "project": project}
	var token: String = Surroundings.start_token()
	if not token.is_empty():
		editor["start_token"] = token
	return editor


## Send a request, and return its id. Without a daemon it waits for one as long as it may wait for its answer.
## [param timeout_s] limits the time until the answer, or until `accepted`; then the daemon's own deadline counts.
func send(method: String, params: Dictionary = {}, timeout_s: float = ACCEPT_S) -> int:
	var id: int = _next_id()
	var request: Dictionary = {
		"method": method,
		"params": params.duplicate(true),
		"is_sent": false,
		"is_accepted": false,
		"instance": "",
		"deadline_ms": 0,
		"timeout_ms": int(maxf(timeout_s, 1.0) * 1000.0),
		"answer_due_ms": Time.get_ticks_msec() + int(maxf(timeout_s, 1.0) * 1000.0),
		"silence_due_ms": 0,
		"error": {},
	}
	if method in MUTATIONS and not params.has("request"):
		request["params"]["request"] = "%s-%d" % [_instance, id]
	_requests[id] = request
	if _state == State.CLOSED:
		request["error"] = _error("DAEMON_NOT_RUNNING", "the client is not open", "call open() first", true)
	elif _state == State.READY:
		_transmit(id)
	elif may_start_daemon and method in NEED_DAEMON:
		start_daemon()
	return id


## Have [signal event] from now on, also from later daemons. [signal resync] comes first. [param with_calls]: have also
## [signal notified] for `calls`, which names the servers whose tool calls have changed.
func subscribe(with_calls: bool = false) -> void:
	_wants_events = true
	_wants_calls = _wants_calls or with_calls
	if _state == State.READY and _subscription == 0:
		_send_subscription()


## Wait until the requests that were sent are answered. Blocks for [param limit_s] at most: only for `_exit_tree`.
func finish(limit_s: float) -> void:
	var due_ms: int = Time.get_ticks_msec() + int(limit_s * 1000.0)
	while _state == State.READY and not _requests.is_empty() and Time.get_ticks_msec() < due_ms:
		poll()
		OS.delay_msec(1)


func _process(_delta: float) -> void:
	poll()


## Do what can be done now. Called in each frame; a plugin may call it more often.
func poll() -> void:
	if not is_same(_compiled, COMPILED):
		Members.complete(self)
		_compiled = COMPILED
	_forgive_stall()
	if _state == State.CLOSED:
		if not _requests.is_empty():
			_expire()
		return
	if not _start.is_empty():
		_look_for_start()
	if _state == State.WAITING and Time.get_ticks_msec() >= _state_due_ms:
		_connect_to_daemon()
	# An idle frame costs little more than this look at the connection.
	if _state != State.WAITING and (_connection.poll() or _state != State.READY):
		if _state == State.CONNECTING and _connection.is_established():
			_greet()
		_read_messages()
		_check_connection()
	if not _requests.is_empty():
		_expire()


## Move all deadlines by the time in which the editor has called nothing, because nothing could be sent or read then.
func _forgive_stall() -> void:
	var now_ms: int = Time.get_ticks_msec()
	var stall_ms: int = now_ms - _polled_ms
	_polled_ms = now_ms
	if stall_ms < STALL_MS:
		return
	if _state != State.WAITING:
		_state_due_ms += stall_ms
	if _started_due_ms > 0:
		_started_due_ms += stall_ms
	for id: int in _requests:
		var request: Dictionary = _requests[id]
		request["answer_due_ms"] += stall_ms
		if request["silence_due_ms"] > 0:
			request["silence_due_ms"] += stall_ms


func _connect_to_daemon() -> void:
	_endpoint = Endpoint.new()
	_endpoint.read(_home())
	if not _endpoint.problem.is_empty():
		_lose(_endpoint.problem)
		return
	_connection = Connection.new()
	_connection.open(Endpoint.LOOPBACK, _endpoint.port)
	_state = State.CONNECTING
	_state_due_ms = Time.get_ticks_msec() + CONNECT_MS


func _home() -> String:
	return Endpoint.home_folder() if home.is_empty() else home


func _greet() -> void:
	_state = State.GREETING
	_hello = _next_id()
	var who: Dictionary = {"name": client_name, "version": client_version, "instance": _instance}
	_write(_hello, "hello", {"protocol": Endpoint.PROTOCOL, "token": _endpoint.token, "client": who})


func _check_connection() -> void:
	if _state == State.CLOSED or _state == State.WAITING:
		return
	if _connection.has_ended and not _connection.has_more():
		if _state == State.READY:
			_lose(_error("DISCONNECTED", "the daemon has ended the connection", "godot-supervisor status", true))
		else:
			_lose(_error("DAEMON_NOT_RUNNING", "no daemon answers at the endpoint", Endpoint.START_HINT, true))
	elif _state != State.READY and Time.get_ticks_msec() >= _state_due_ms and _connection.is_drained:
		_lose(_error("DAEMON_UNREACHABLE", "the daemon does not answer", "godot-supervisor logs --daemon", true))


## Note that no daemon answers, and try again later.
func _lose(problem: Dictionary) -> void:
	var now_ms: int = Time.get_ticks_msec()
	_drop_connection()
	_subscription = 0
	_problem = problem
	# A daemon that is being started answers soon.
	_back_off_ms = BACK_OFF_MIN_MS if is_starting() else _back_off_ms
	_wait(_back_off_ms)
	_back_off_ms = mini(_back_off_ms * 2, BACK_OFF_MAX_MS)
	for id: int in _requests.keys():
		var request: Dictionary = _requests[id]
		if not request["is_sent"]:
			continue
		if _may_be_repeated(request):
			request["is_sent"] = false
			request["answer_due_ms"] = now_ms + int(reconnect_s * 1000.0)
			request["silence_due_ms"] = 0
		else:
			request["error"] = _disconnection(request)
	if not _has_reported:
		_has_reported = true
		disconnected.emit(problem)
	if _wants_start and _state == State.WAITING:
		_wants_start = false
		_begin_start(problem)


# --- the start of a daemon

func _begin_start(problem: Dictionary) -> void:
	if problem.get("code") != "DAEMON_NOT_RUNNING":
		_end_start(problem)
		return
	var how: DaemonStart = DaemonStart.new()
	how.read(_home())
	if not how.problem.is_empty():
		_end_start(how.problem)
		return
	_start = how.begin()
	_started_due_ms = 0
	_start_look_ms = Time.get_ticks_msec() + START_LOOK_MS


func _look_for_start() -> void:
	var now_ms: int = Time.get_ticks_msec()
	if now_ms < _start_look_ms:
		return
	_start_look_ms = now_ms + START_LOOK_MS
	if _started_due_ms > 0:
		if now_ms >= _started_due_ms:
			_end_start(_problem)
		return
	var outcome: Dictionary = DaemonStart.outcome(_start)
	if outcome.is_empty():
		return
	if not (outcome["error"] as Dictionary).is_empty():
		_end_start(outcome["error"] as Dictionary)
		return
	_started_due_ms = now_ms + STARTED_MS
	if _state == State.WAITING:
		_wait(0)


func _end_start(problem: Dictionary) -> void:
	_start = ""
	_wants_start = false
	if problem.is_empty():
		daemon_started.emit()
		return
	_problem = problem
	for id: int in _requests:
		var request: Dictionary = _requests[id]
		if may_start_daemon and not request["is_sent"] and request["method"] in NEED_DAEMON:
			request["error"] = problem.duplicate()
	start_failed.emit(problem)


func _drop_connection() -> void:
	if _connection != null:
		_connection.close()
		_connection = null


func _wait(pause_ms: int) -> void:
	_state = State.WAITING
	_state_due_ms = Time.get_ticks_msec() + pause_ms


func _may_be_repeated(request: Dictionary) -> bool:
	var params: Dictionary = request["params"]
	var method: String = request["method"]
	return method in REPEATABLE or params.has("request")


func _disconnection(request: Dictionary) -> Dictionary:
	var was_accepted: bool = request["is_accepted"]
	var params: Dictionary = request["params"]
	var code: String = "DISCONNECTED_AFTER_ACCEPT" if was_accepted else "DISCONNECTED_BEFORE_ACCEPT"
	var message: String = "the connection to the daemon ended during %s" % request["method"]
	return _error(code, message, "godot-supervisor status", params.has("request"))


# --- what the daemon says

func _read_messages() -> void:
	var until_us: int = Time.get_ticks_usec() + FRAME_BUDGET_US
	# A handler of a signal may close this client, or open it again.
	var read: Connection = _connection
	while read != null and read == _connection:
		var message: Variant = read.take_message()
		if message == null:
			return
		_handle(message as Dictionary)
		if Time.get_ticks_usec() >= until_us:
			# The rest waits for the next frame, and until then nothing is late.
			read.is_drained = read.is_drained and not read.has_more()
			return


func _handle(message: Dictionary) -> void:
	var method: Variant = message.get("method")
	if method is String:
		var details: Variant = message.get("params")
		if details is Dictionary:
			_handle_notification(method as String, details as Dictionary)
		return
	var id: int = _only_request() if message.get("id") == null else _id_of(message)
	if id == _hello and _state == State.GREETING:
		_welcome(message)
	elif id == _subscription and id != 0:
		_begin_events(message)
	elif _requests.has(id):
		if message.has("error"):
			_fail(id, _remote_error(message["error"]))
		else:
			_requests.erase(id)
			completed.emit(id, message.get("result"))


## Return the one request that an error without an id can belong to, or 0.
func _only_request() -> int:
	if _state == State.GREETING:
		return _hello
	var sent: Array = _requests.keys().filter(func(id: int) -> bool: return _requests[id]["is_sent"])
	return sent[0] if sent.size() == 1 else 0


func _welcome(answer: Dictionary) -> void:
	var daemon: Variant = answer.get("result")
	if not daemon is Dictionary:
		# The token comes from the endpoint, so a daemon that refuses it did not write the endpoint.
		_lose(_remote_error(answer.get("error")))
		return
	var instance: Variant = (daemon as Dictionary).get("instance_id")
	if not instance is String or instance != _endpoint.instance_id:
		_lose(_error("DAEMON_NOT_RUNNING", "another program answers at the endpoint", Endpoint.START_HINT, true))
		return
	_state = State.READY
	_last_instance = instance
	_back_off_ms = BACK_OFF_MIN_MS
	_has_reported = false
	_problem = {}
	if _wants_events:
		_send_subscription()
	if is_starting():
		_end_start({})
	connected.emit(daemon)
	for id: int in _requests.keys():
		if _state == State.READY and _requests.has(id) and not _requests[id]["is_sent"]:
			_transmit(id)


func _handle_notification(method: String, details: Dictionary) -> void:
	var id: int = _id_of(details)
	match method:
		"accepted":
			if _requests.has(id):
				_note_accepted(_requests[id] as Dictionary, details)
				accepted.emit(id, details)
		"progress":
			if _requests.has(id):
				_note_progress(_requests[id] as Dictionary, details)
				progress.emit(id, details)
		"event":
			if id == _subscription and id != 0:
				_since["seq"] = _whole(details.get("seq"))
			event.emit(details)
		_:
			notified.emit(method, details)


func _note_accepted(request: Dictionary, details: Dictionary) -> void:
	var now_ms: int = Time.get_ticks_msec()
	request["is_accepted"] = true
	request["deadline_ms"] = _whole(details.get("deadline_s")) * 1000 + MARGIN_MS
	request["answer_due_ms"] = now_ms + (request["deadline_ms"] as int)
	request["silence_due_ms"] = now_ms + SILENCE_MS


func _note_progress(request: Dictionary, details: Dictionary) -> void:
	if not request["is_accepted"]:
		return
	var now_ms: int = Time.get_ticks_msec()
	request["silence_due_ms"] = now_ms + SILENCE_MS
	if details.get("stage") in UNTIMED_STAGES:
		request["answer_due_ms"] = now_ms + (request["deadline_ms"] as int)


func _send_subscription() -> void:
	_subscription = _next_id()
	var params: Dictionary = {} if _since.is_empty() else {"since": _since}
	if _wants_calls:
		params["calls"] = true
	_write(_subscription, "events.subscribe", params)


func _begin_events(answer: Dictionary) -> void:
	var result: Variant = answer.get("result")
	if not result is Dictionary:
		# A daemon that refuses to go on from `since` gives all that there is.
		_subscription = 0
		if not _since.is_empty():
			_since = {}
			_send_subscription()
		return
	var begin: Dictionary = result
	_since = {"instance_id": begin.get("instance_id"), "seq": _whole(begin.get("seq"))}
	if begin.get("snapshot") is Dictionary:
		resync.emit(begin["snapshot"])


# --- what we say

func _transmit(id: int) -> void:
	var request: Dictionary = _requests[id]
	var method: String = request["method"]
	var earlier: String = request["instance"]
	if method in ONCE and not earlier.is_empty() and earlier != _last_instance:
		request["error"] = _disconnection(request)
		return
	request["instance"] = _last_instance
	request["is_sent"] = true
	request["is_accepted"] = false
	request["answer_due_ms"] = Time.get_ticks_msec() + (request["timeout_ms"] as int)
	if not _write(id, method, request["params"] as Dictionary):
		request["error"] = _error("INVALID_PARAMS", "the params of %s do not fit a message" % method, "", false)


func _write(id: int, method: String, params: Dictionary) -> bool:
	var line: String = encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if line.length() > MESSAGE_MAX or line.to_utf8_buffer().size() > MESSAGE_MAX:
		return false
	_connection.send(line)
	return true


## Return a value as JSON on one line. The engine does not escape control characters, which JSON requires.
static func encode(value: Variant) -> String:
	var text: String = JSON.stringify(value, "", false, true)
	for code: int in range(1, FIRST_PRINTABLE):
		if text.contains(String.chr(code)):
			text = text.replace(String.chr(code), "\\u%04x" % code)
	return text


# --- ends without an answer

## Fail the requests that are late. Messages that have come count first, because the editor may have stalled.
func _expire() -> void:
	if _connection != null and not _connection.is_drained:
		return
	var now_ms: int = Time.get_ticks_msec()
	for id: int in _requests.keys():
		if not _requests.has(id):
			continue
		var request: Dictionary = _requests[id]
		var silence_due_ms: int = request["silence_due_ms"]
		var error: Dictionary = request["error"]
		if not error.is_empty():
			_fail(id, error)
		elif not request["is_sent"] and is_starting():
			# A daemon takes longer to start than to answer.
			pass
		elif now_ms >= (request["answer_due_ms"] as int) or (silence_due_ms > 0 and now_ms >= silence_due_ms):
			_fail(id, _timeout(request))


func _timeout(request: Dictionary) -> Dictionary:
	var params: Dictionary = request["params"]
	var is_safe: bool = params.has("request")
	if not request["is_sent"]:
		var had_been_sent: bool = not (request["instance"] as String).is_empty()
		if had_been_sent:
			return _disconnection(request)
		var found: Dictionary = _problem.duplicate()
		if not found.is_empty():
			return found
		return _error("DAEMON_UNREACHABLE", "the daemon does not answer", "godot-supervisor logs --daemon", true)
	if request["is_accepted"]:
		var late: String = "no result of %s in time" % request["method"]
		return _error("RESPONSE_TIMEOUT", late, "it may still complete: godot-supervisor status", is_safe)
	var silent: String = "the daemon did not answer %s in time" % request["method"]
	return _error("ACCEPT_TIMEOUT", silent, "godot-supervisor logs --daemon", is_safe)


func _fail(id: int, error: Dictionary) -> void:
	_requests.erase(id)
	failed.emit(id, error)


static func _error(code: String, message: String, hint: String, safe_to_retry: bool) -> Dictionary:
	var error: Dictionary = {"code": code, "message": message, "hint": hint, "fault": "environment"}
	error.merge({"retryable": true, "safe_to_retry": safe_to_retry})
	return error


## Return an error of JSON-RPC as one dictionary: its `data`, and its `message`.
static func _remote_error(error: Variant) -> Dictionary:
	var found: Dictionary = _error("INTERNAL", "", "", false)
	found.merge({"fault": "daemon", "retryable": false}, true)
	if error is Dictionary:
		var data: Variant = (error as Dictionary).get("data")
		if data is Dictionary:
			found.merge(data as Dictionary, true)
		found["message"] = str((error as Dictionary).get("message", ""))
	return found


func _next_id() -> int:
	_last_id += 1
	return _last_id


## Return the id in a message. The engine reads every number as a float.
static func _id_of(message: Dictionary) -> int:
	return _whole(message.get("id"))


static func _whole(value: Variant) -> int:
	if value is int:
		return value
	return int(value as float) if value is float else 0
