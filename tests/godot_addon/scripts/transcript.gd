extends SceneTree
## Makes the recorded calls through SupervisorClient, and writes what came of them (tests/godot_addon/test_transcript.py).

const Client := preload("res://addons/godot_supervisor/supervisor_client.gd")
const WAIT_MS: int = 15000

var _log: Array[Array] = []


func _initialize() -> void:
	var cases: Array = JSON.parse_string(FileAccess.get_file_as_string("res://cases.json"))
	var results: Array[Array] = []
	for case: Dictionary in cases:
		_log = []
		await _run(case)
		results.append(_log)
	var file: FileAccess = FileAccess.open("res://results.json", FileAccess.WRITE)
	file.store_string(JSON.stringify(results, "", false, true))
	file.close()
	quit()


func _run(case: Dictionary) -> void:
	var client: Client = Client.new()
	client.home = case["home"]
	client.reconnect_s = 0.2
	client.connected.connect(func(daemon: Dictionary) -> void: _log.append(["connected", daemon]))
	client.disconnected.connect(func(error: Dictionary) -> void: _log.append(["disconnected", error]))
	client.accepted.connect(func(id: int, details: Dictionary) -> void: _log.append(["accepted", id, details]))
	client.progress.connect(func(id: int, details: Dictionary) -> void: _log.append(["progress", id, details]))
	client.completed.connect(func(id: int, result: Variant) -> void: _log.append(["completed", id, result]))
	client.failed.connect(func(id: int, error: Dictionary) -> void: _log.append(["failed", id, error]))
	client.event.connect(func(details: Dictionary) -> void: _log.append(["event", details]))
	client.notified.connect(func(method: String, details: Dictionary) -> void: _log.append([method, details]))
	root.add_child(client)
	client.open()
	await _until(func() -> bool: return _has("connected", []))
	for request: Dictionary in case["requests"]:
		var id: int = client.send(request["method"] as String, request["params"] as Dictionary)
		_log.append(["sent", id])
		await _until(func() -> bool: return _has("completed", [id]) or _has("failed", [id]))
	await _until(func() -> bool: return _has("disconnected", []))
	client.close()
	client.queue_free()


func _has(what: String, begin: Array) -> bool:
	return _log.any(func(entry: Array) -> bool: return entry[0] == what and entry.slice(1, 1 + begin.size()) == begin)


func _until(is_done: Callable) -> void:
	var due_ms: int = Time.get_ticks_msec() + WAIT_MS
	while not is_done.call() and Time.get_ticks_msec() < due_ms:
		await process_frame
