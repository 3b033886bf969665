@tool
extends EditorPlugin
## Does what the plugin of godot-ai does with its server (docs/addon.md). The variables are those of the test.

const RECONNECT_MS: int = 300

var _server: int = 0
var _socket: WebSocketPeer = null
var _has_session: bool = false
var _due_ms: int = 0


func _enter_tree() -> void:
	if _listens(OS.get_environment("STAND_IN_HTTP").to_int()):
		print("STAND-IN uses the server that runs")
		return
	# Like releases of the plugin before 2.5.11, the server is not told its owner.
	# The output would keep that of the editor open.
	var command: String = "exec \"$STAND_IN_PYTHON\" -P -m godot_ai --transport streamable-http"
	command += " --port \"$STAND_IN_HTTP\" --ws-port \"$STAND_IN_WS\" >/dev/null 2>&1"
	_server = OS.create_process("/bin/sh", ["-c", command])
	print("STAND-IN has started its server, %d" % _server)


func _exit_tree() -> void:
	_socket = null
	if _server > 0:
		OS.kill(_server)


func _process(_delta: float) -> void:
	if _socket == null:
		if Time.get_ticks_msec() >= _due_ms:
			_socket = WebSocketPeer.new()
			_socket.connect_to_url("ws://127.0.0.1:" + OS.get_environment("STAND_IN_WS"))
		return
	_socket.poll()
	if _socket.get_ready_state() == WebSocketPeer.STATE_CLOSED:
		_socket = null
		_has_session = false
		_due_ms = Time.get_ticks_msec() + RECONNECT_MS
	elif _socket.get_ready_state() == WebSocketPeer.STATE_OPEN:
		if not _has_session:
			_has_session = true
			_send(_about())
		while _socket != null and _socket.get_available_packet_count() > 0:
			_handle(_socket.get_packet().get_string_from_utf8())


func _about() -> Dictionary:
	return {
		"type": "handshake",
		"session_id": "game@%016x" % OS.get_process_id(),
		"godot_version": Engine.get_version_info()["string"],
		"project_path": ProjectSettings.globalize_path("res://"),
		"plugin_version": "3.2.5",
		"readiness": "ready",
		"editor_pid": OS.get_process_id(),
		"server_launch_mode": "external",
	}


func _handle(text: String) -> void:
	var message: Variant = JSON.parse_string(text)
	if not message is Dictionary:
		return
	var found: Dictionary = message
	if found.get("type") == "handshake_ack":
		print("STAND-IN has a session")
	elif found.has("request_id"):
		var done: Dictionary = {"readiness": "ready", "pid": OS.get_process_id(), "project_name": "stand-in"}
		_send({"request_id": found["request_id"], "status": "ok", "readiness": "ready", "data": done})


func _send(message: Dictionary) -> void:
	_socket.send_text(JSON.stringify(message))


static func _listens(port: int) -> bool:
	var trial: StreamPeerTCP = StreamPeerTCP.new()
	trial.connect_to_host("127.0.0.1", port)
	for attempt: int in 20:
		trial.poll()
		if trial.get_status() != StreamPeerTCP.STATUS_CONNECTING:
			break
		OS.delay_msec(10)
	return trial.get_status() == StreamPeerTCP.STATUS_CONNECTED
