@tool
extends RefCounted
## One TCP connection to the daemon: lines go out, messages come in. No call waits.

# Preloaded, because the names of classes are not known yet when plugins begin on the first start of a project.
const Members := preload("members.gd")

const COMPILED: Array = []
const LINE_MAX: int = 1024 * 1024
## A longer line is parsed by another thread, because 64 KiB take 5 ms, and a frame has 8 for everything.
const LONG: int = 8 * 1024
## How much is read at once, so that one frame of the editor stays short.
const READ_MAX: int = 256 * 1024
const COMPACT_AT: int = 64 * 1024
const LINE_END: int = 10

## Whether the connection has ended. Messages that came before can still be taken.
var has_ended: bool = false
## Whether all that had come at the last `poll` was read.
var is_drained: bool = true

var _compiled: Variant = COMPILED
var _peer: StreamPeerTCP = StreamPeerTCP.new()
var _is_established: bool = false
var _inbox: PackedByteArray = PackedByteArray()
var _begin: int = 0
var _searched: int = 0
var _outbox: PackedByteArray = PackedByteArray()
var _json: JSON = JSON.new()
## Parses a long line. Null while there is none.
var _thread: Thread = null


func _notification(what: int) -> void:
	if what == NOTIFICATION_PREDELETE and _thread != null:
		_thread.wait_to_finish()


func open(host: String, port: int) -> void:
	has_ended = _peer.connect_to_host(host, port) != OK


## Return whether the daemon has taken the connection.
func is_established() -> bool:
	return _is_established and not has_ended


## Move bytes in both directions, as many as can be moved now. Returns whether the caller has to look at something: a
## message, or the end of the connection.
func poll() -> bool:
	if not is_same(_compiled, COMPILED):
		Members.complete(self)
		_compiled = COMPILED
	if has_ended:
		return true
	_peer.poll()
	var status: StreamPeerTCP.Status = _peer.get_status()
	if status == StreamPeerTCP.STATUS_CONNECTED:
		if not _is_established:
			_is_established = true
			_peer.set_no_delay(true)
		_read()
		if not _outbox.is_empty():
			flush()
	elif status != StreamPeerTCP.STATUS_CONNECTING:
		is_drained = true
		has_ended = true
	return has_ended or _thread != null or not _inbox.is_empty()


## Queue one message, and send what the system takes.
func send(line: String) -> void:
	_outbox.append_array(line.to_utf8_buffer())
	_outbox.append(LINE_END)
	flush()


## Send what is queued, as far as the system takes it. The rest waits for the next `poll`.
func flush() -> void:
	# A peer that is not connected makes the engine print an error.
	if _outbox.is_empty() or not is_established() or _peer.get_status() != StreamPeerTCP.STATUS_CONNECTED:
		return
	var outcome: Array = _peer.put_partial_data(_outbox)
	if outcome[0] != OK:
		has_ended = true
		return
	var sent: int = outcome[1]
	_outbox = PackedByteArray() if sent == _outbox.size() else _outbox.slice(sent)


## Return the next message, or null if none can be taken now. A line that is no message ends the connection.
func take_message() -> Variant:
	var found: Variant = null
	if _thread != null:
		if _thread.is_alive():
			is_drained = false
			return null
		found = _thread.wait_to_finish()
		_thread = null
	elif not _has_line():
		return null
	else:
		var line: PackedByteArray = _take_line()
		if line.size() > LONG:
			_thread = Thread.new()
			_thread.start(_parse.bind(JSON.new(), line))
			is_drained = false
			return null
		found = _parse(_json, line)
	if found is Dictionary:
		return found
	close()
	return null


## Return whether messages are left that can be taken now, or later though the connection has ended.
func has_more() -> bool:
	return _thread != null or _has_line()


static func _parse(json: JSON, line: PackedByteArray) -> Variant:
	return json.data if json.parse(line.get_string_from_utf8()) == OK else null


func _has_line() -> bool:
	if _inbox.is_empty():
		return false
	_searched = maxi(_searched, _begin)
	var end: int = _inbox.find(LINE_END, _searched)
	if end >= 0:
		_searched = end
		return true
	_searched = _inbox.size()
	if _inbox.size() - _begin > LINE_MAX:
		close()
	return false


## Return the next line. There is one: see `_has_line`.
func _take_line() -> PackedByteArray:
	var line: PackedByteArray = _inbox.slice(_begin, _searched)
	_begin = _searched + 1
	_searched = _begin
	if _begin == _inbox.size():
		_inbox = PackedByteArray()
		_begin = 0
		_searched = 0
	elif _begin > COMPACT_AT:
		_inbox = _inbox.slice(_begin)
		_begin = 0
		_searched = 0
	return line


func close() -> void:
	_peer.disconnect_from_host()
	has_ended = true
	is_drained = true


func _read() -> void:
	var available: int = _peer.get_available_bytes()
	is_drained = available <= READ_MAX
	if available <= 0:
		return
	var outcome: Array = _peer.get_partial_data(mini(available, READ_MAX))
	if outcome[0] != OK:
		has_ended = true
		return
	_inbox.append_array(outcome[1] as PackedByteArray)
