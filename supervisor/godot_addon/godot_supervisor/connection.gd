@tool
extends RefCounted
## One TCP connection to the daemon: lines go out, lines come in. No call waits.

const LINE_MAX: int = 1024 * 1024
## How much is read at once, so that one frame of the editor stays short.
const READ_MAX: int = 256 * 1024
const COMPACT_AT: int = 64 * 1024
const LINE_END: int = 10

## Whether the connection has ended. Lines that came before can still be read.
var has_ended: bool = false
## Whether the last `poll` has read all that had come.
var is_drained: bool = true

var _peer: StreamPeerTCP = StreamPeerTCP.new()
var _is_established: bool = false
var _inbox: PackedByteArray = PackedByteArray()
var _begin: int = 0
var _searched: int = 0
var _outbox: PackedByteArray = PackedByteArray()


func open(host: String, port: int) -> void:
	has_ended = _peer.connect_to_host(host, port) != OK


## Return whether the daemon has taken the connection.
func is_established() -> bool:
	return _is_established and not has_ended


## Move bytes in both directions, as many as can be moved now.
func poll() -> void:
	if has_ended:
		return
	_peer.poll()
	var status: StreamPeerTCP.Status = _peer.get_status()
	if status == StreamPeerTCP.STATUS_CONNECTED:
		if not _is_established:
			_is_established = true
			_peer.set_no_delay(true)
		_read()
		flush()
	elif status != StreamPeerTCP.STATUS_CONNECTING:
		is_drained = true
		has_ended = true


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


## Return whether a whole line waits to be taken.
func has_line() -> bool:
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


## Return the next line. There is one: see `has_line`.
func take_line() -> String:
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
	return line.get_string_from_utf8()


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
