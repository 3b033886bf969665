extends SceneTree
## Does the steps of each case with a SupervisorClient, and writes what the client has reported (tests/godot_addon).

const Client := preload("res://addons/godot_supervisor/supervisor_client.gd")
const WAIT_MS: int = 15000

var _log: Array[Array] = []
var _client: Client = null


func _initialize() -> void:
	var cases: Array = JSON.parse_string(FileAccess.get_file_as_string("res://cases.json"))
	var results: Array[Array] = []
	for case: Dictionary in cases:
		_log = []
		_make_client(case)
		for step: Array in case["steps"]:
			await _do(step[0] as String, step.slice(1))
		_client.queue_free()
		results.append(_log)
	var file: FileAccess = FileAccess.open("res://results.json", FileAccess.WRITE)
	file.store_string(JSON.stringify(results, "", false, true))
	file.close()
	quit()


func _make_client(case: Dictionary) -> void:
	_client = Client.new()
	_client.home = case["home"]
	_client.reconnect_s = case.get("reconnect_s", 5.0)
	_client.connected.connect(func(daemon: Dictionary) -> void: _log.append(["connected", daemon]))
	_client.disconnected.connect(func(error: Dictionary) -> void: _log.append(["disconnected", error]))
	_client.accepted.connect(func(id: int, details: Dictionary) -> void: _log.append(["accepted", id, details]))
	_client.progress.connect(func(id: int, details: Dictionary) -> void: _log.append(["progress", id, details]))
	_client.completed.connect(func(id: int, result: Variant) -> void: _log.append(["completed", id, result]))
	_client.failed.connect(func(id: int, error: Dictionary) -> void: _log.append(["failed", id, error]))
	_client.event.connect(func(details: Dictionary) -> void: _log.append(["event", details]))
	_client.resync.connect(func(snapshot: Dictionary) -> void: _log.append(["resync of ours", snapshot]))
	_client.notified.connect(func(method: String, details: Dictionary) -> void: _log.append([method, details]))
	_client.daemon_started.connect(func() -> void: _log.append(["daemon_started"]))
	_client.start_failed.connect(func(error: Dictionary) -> void: _log.append(["start_failed", error]))
	root.add_child(_client)


func _do(step: String, words: Array) -> void:
	match step:
		"open":
			_client.open()
		"close":
			_client.close()
		"start":
			_client.start_daemon()
		"may start":
			_client.may_start_daemon = true
		"subscribe":
			_client.subscribe()
		"send":
			_log.append(["sent", _client.send(words[0] as String, words[1] as Dictionary)])
		"wait":
			var limit_ms: int = int(words[2] as float) if words.size() > 2 else WAIT_MS
			await _until(func() -> bool: return _count(words[0] as String) >= int(words[1] as float), limit_ms)
		"answer":
			await _until(func() -> bool: return _count("completed") + _count("failed") >= _count("sent"))
		"home":
			_log.append(["home", _home_in(words[0] as Dictionary)])
		"stall":
			OS.delay_msec(int(words[0] as float))
		"measure":
			await _measure(int(words[0] as float))


## Return the daemon's home folder in an environment with these variables, without those that are null.
func _home_in(variables: Dictionary) -> String:
	for name: String in variables:
		if variables[name] == null:
			OS.unset_environment(name)
		else:
			OS.set_environment(name, variables[name] as String)
	return Client.Endpoint.home_folder()


func _count(what: String) -> int:
	return _log.reduce(func(sum: int, entry: Array) -> int: return sum + (1 if entry[0] == what else 0), 0)


func _until(is_done: Callable, limit_ms: int = WAIT_MS) -> void:
	var due_ms: int = Time.get_ticks_msec() + limit_ms
	while not is_done.call() and Time.get_ticks_msec() < due_ms:
		await process_frame


## Poll in the place of the engine, and log what the polls of these milliseconds have cost.
func _measure(span_ms: int) -> void:
	_client.set_process(false)
	var times: PackedInt64Array = []
	var due_ms: int = Time.get_ticks_msec() + span_ms
	while Time.get_ticks_msec() < due_ms:
		var began_us: int = Time.get_ticks_usec()
		_client.poll()
		times.append(Time.get_ticks_usec() - began_us)
		OS.delay_usec(500)
	times.sort()
	_client.set_process(true)
	_log.append(["measured", times[times.size() / 2.0 as int], times[times.size() - 1]])
	await process_frame
