@tool
extends RefCounted
## Finds the daemon: reads `endpoint.json`, and believes the file only where the control protocol allows it.

const SCHEMA: int = 1
const PROTOCOL: int = 1
const BYTES_MAX: int = 64 * 1024
const LOOPBACK: String = "127.0.0.1"
const START_HINT: String = "run this in a terminal: godot-supervisor start"
const INSTALL_HINT: String = "install it: pipx install godot-supervisor, and then: godot-supervisor start"
const UPDATE_HINT: String = "update the addon: godot-supervisor addon update"
const LINKS_MAX: int = 16

## Why there is no usable endpoint, as an error of the protocol. Empty if there is one.
var problem: Dictionary = {}
var port: int = 0
var instance_id: String = ""
var version: String = ""
## Sent to the daemon, and nowhere else.
var token: String = ""


## Return the daemon's home folder as the environment names it, or "" if it names none.
static func home_folder() -> String:
	var moved: String = OS.get_environment("GODOT_SUPERVISOR_HOME")
	if not moved.is_empty():
		return moved.simplify_path() if moved.is_absolute_path() else ""
	# A snap gets a HOME of its own; the daemon runs outside of it.
	var variables: Array[String] = ["SNAP_REAL_HOME", "HOME"]
	if OS.get_name() == "Windows":
		variables = ["USERPROFILE"]
	for variable: String in variables:
		var user: String = OS.get_environment(variable)
		if user.is_absolute_path():
			return user.path_join(".godot-supervisor").simplify_path()
	return ""


## Read the endpoint of the daemon in this home folder. `problem` says why it cannot be used.
func read(folder: String) -> void:
	problem = {}
	if folder.is_empty():
		_refuse("the environment names no home folder", "set HOME, or GODOT_SUPERVISOR_HOME, to an absolute path")
		return
	var path: String = folder.path_join("endpoint.json")
	if not FileAccess.file_exists(path):
		var has_run: bool = FileAccess.file_exists(folder.path_join("start.json"))
		_refuse("no daemon of godot-supervisor is running", START_HINT if has_run else INSTALL_HINT)
		return
	if _others_may_write(path):
		_refuse("%s could have been written by other users" % path, "chmod go-w '%s'" % path)
		return
	var file: FileAccess = FileAccess.open(path, FileAccess.READ)
	if file == null:
		_refuse("cannot read %s: %s" % [path, error_string(FileAccess.get_open_error())], START_HINT)
		return
	var size: int = file.get_length()
	if size > BYTES_MAX:
		_refuse("%s is damaged" % path, START_HINT)
		return
	_decode(folder, path, file.get_buffer(size))


func _decode(folder: String, path: String, content: PackedByteArray) -> void:
	var json: JSON = JSON.new()
	# The engine prints an error for bytes that are no UTF-8. The daemon writes ASCII.
	if not is_ascii(content) or json.parse(content.get_string_from_ascii()) != OK or not json.data is Dictionary:
		_refuse("%s is damaged" % path, START_HINT)
		return
	var found: Dictionary = json.data
	if number(found.get("schema")) > SCHEMA:
		_refuse("a later release of godot-supervisor wrote %s" % path, UPDATE_HINT, "PROTOCOL_UNSUPPORTED")
		return
	version = text(found.get("version"))
	instance_id = text(found.get("instance_id"))
	token = text(found.get("token"))
	port = _port(found.get("transports"))
	if number(found.get("schema")) < 1 or instance_id.is_empty() or token.is_empty() or port == 0:
		_refuse("%s is damaged" % path, START_HINT)
		return
	var home: String = text(found.get("home"))
	if not home.is_empty() and not is_same_folder(home, folder):
		_refuse("no daemon is running for %s: its endpoint file belongs to %s" % [folder, home], START_HINT)
		return
	var spoken: Dictionary = found["protocol"] if found.get("protocol") is Dictionary else {}
	if PROTOCOL < number(spoken.get("min")) or PROTOCOL > number(spoken.get("max")):
		_refuse("the daemon (%s) speaks another protocol" % version, UPDATE_HINT, "PROTOCOL_UNSUPPORTED")


func _refuse(message: String, hint: String, code: String = "DAEMON_NOT_RUNNING") -> void:
	problem = {"code": code, "message": message, "hint": hint, "fault": "environment"}
	problem.merge({"retryable": true, "safe_to_retry": true})


## Return the port of the first TCP transport on this machine. The token is sent to no other machine.
static func _port(transports: Variant) -> int:
	if transports is Array:
		for each: Variant in transports as Array:
			var transport: Dictionary = each if each is Dictionary else {}
			if text(transport.get("kind")) == "tcp" and text(transport.get("host")) == LOOPBACK:
				var found: int = number(transport.get("port"))
				if found > 0 and found <= 65535:
					return found
	return 0


static func _others_may_write(path: String) -> bool:
	if OS.get_name() == "Windows":
		return false
	var mode: int = FileAccess.get_unix_permissions(path)
	return (mode & (FileAccess.UNIX_WRITE_GROUP | FileAccess.UNIX_WRITE_OTHER)) != 0


static func is_same_folder(one: String, other: String) -> bool:
	var first: String = one.simplify_path()
	var second: String = other.simplify_path()
	if OS.get_name() == "Windows":
		return first.nocasecmp_to(second) == 0
	if OS.get_name() == "macOS" and first.nocasecmp_to(second) == 0:
		return true
	return first == second or _without_links(first) == _without_links(second)


## Return an absolute path with its links followed.
static func _without_links(path: String) -> String:
	var rest: PackedStringArray = path.split("/", false)
	var done: String = "/"
	var links: int = 0
	while not rest.is_empty():
		var name: String = rest[0]
		rest.remove_at(0)
		var folder: DirAccess = DirAccess.open(done)
		if folder != null and folder.is_link(name) and links < LINKS_MAX:
			links += 1
			var target: String = folder.read_link(name)
			var whole: String = target if target.is_absolute_path() else done.path_join(target)
			rest = (whole.simplify_path().split("/", false)) + rest
			done = "/"
		else:
			done = done.path_join(name)
	return done


static func is_ascii(content: PackedByteArray) -> bool:
	for byte: int in content:
		if byte == 0 or byte > 127:
			return false
	return true


static func text(value: Variant) -> String:
	return value if value is String else ""


static func number(value: Variant) -> int:
	return int(value as float) if value is float else 0
