@tool
extends RefCounted
## Starts the daemon, by what `start.json` in its home folder says. The file stays when the daemon has gone.
##
## The command runs apart from the editor, and leaves the reason of a failure in a file beside `start.json`: an editor
## that waited for it, or made a copy of itself for it as `OS.create_process` does, would stand still.

const Endpoint := preload("endpoint.gd")

const SCHEMA: int = 1
const BYTES_MAX: int = 64 * 1024
## The command itself gives up after 20 s.
const LIMIT_MS: int = 45000
## How long a shell in the background may take to begin.
const BEGUN_MS: int = 1000
## Files of starts whose editor has ended before their outcome are removed after this time.
const STALE_S: int = 600
## What a shell changes between double quotes. The engine hands words to a shell in double quotes, as they are.
const CHANGED_BY_SHELL: Array[String] = ["\"", "\\", "$", "`"]
const MESSAGE_MAX: int = 300

## Where the engine keeps the latest start for all clients of this editor: name, home, pid, times, and its outcome.
const LATEST: StringName = &"godot_supervisor_start"

## Why the daemon cannot be started by this editor, as an error of the protocol. Empty if it can.
var problem: Dictionary = {}
## The release that would be started.
var version: String = ""

var _folder: String = ""
var _path: String = ""
var _command: PackedStringArray = []
var _environment: Dictionary = {}


## Read how to start the daemon of this home folder. `problem` says why it cannot be started.
func read(folder: String) -> void:
	problem = {}
	_folder = folder
	_path = folder.path_join("start.json")
	if folder.is_empty():
		_refuse("the environment names no home folder", "set HOME, or GODOT_SUPERVISOR_HOME, to an absolute path")
	elif FileAccess.file_exists("/.flatpak-info"):
		_refuse("an editor in a sandbox cannot start the daemon", "run this outside of it: godot-supervisor start")
	elif not FileAccess.file_exists(_path):
		_refuse("godot-supervisor is not installed, or has never run", Endpoint.INSTALL_HINT)
	elif _others_may_open(_path):
		_refuse("%s could have been written by other users" % _path, "chmod go-rwx '%s'" % _path)
	else:
		_decode()


## Return the program that starts the daemon, or "".
func program() -> String:
	return "" if _command.is_empty() else _command[0]


## Return the variables that the daemon's home folder needs.
func environment() -> Dictionary:
	return _environment


func _decode() -> void:
	var file: FileAccess = FileAccess.open(_path, FileAccess.READ)
	if file == null:
		_refuse("cannot read %s: %s" % [_path, error_string(FileAccess.get_open_error())], Endpoint.START_HINT)
		return
	var content: PackedByteArray = file.get_buffer(mini(file.get_length(), BYTES_MAX))
	var json: JSON = JSON.new()
	# The engine prints an error for bytes that are no UTF-8. The daemon writes ASCII.
	if not Endpoint.is_ascii(content) or json.parse(content.get_string_from_ascii()) != OK or not json.data is Dictionary:
		_refuse("%s is damaged" % _path, Endpoint.START_HINT)
		return
	var found: Dictionary = json.data
	if Endpoint.number(found.get("schema")) > SCHEMA:
		_refuse("a later release of godot-supervisor wrote %s" % _path, Endpoint.UPDATE_HINT)
		return
	version = Endpoint.text(found.get("version"))
	_command = _texts(found.get("command"))
	_environment = found["environment"] if found.get("environment") is Dictionary else {}
	if Endpoint.number(found.get("schema")) < 1 or _command.is_empty() or not _command[0].is_absolute_path():
		_refuse("%s is damaged" % _path, Endpoint.START_HINT)
	elif not Endpoint.is_same_folder(Endpoint.text(found.get("home")), _folder):
		_refuse("%s was written for another folder" % _path, Endpoint.START_HINT)
	elif not FileAccess.file_exists(_command[0]):
		_refuse("the installation of godot-supervisor has gone: no %s" % _command[0], Endpoint.INSTALL_HINT)


## Start the daemon, and return the name of the start. A start that runs already is joined.
func begin() -> String:
	var earlier: Dictionary = _latest()
	if not earlier.is_empty() and not earlier.has("error"):
		_look_for_outcome(earlier)
		if earlier["home"] == _folder and not earlier.has("error"):
			return earlier["name"]
	_remove_stale()
	var name: String = _folder.path_join("start-%d-%d" % [OS.get_process_id(), Time.get_ticks_usec()])
	var words: PackedStringArray = _command + PackedStringArray(["--json"])
	var script: String = _script(name, words)
	var pid: int = 0
	if OS.get_name() == "Windows" or _is_changed_by_shell(script):
		pid = _create(words)
	else:
		OS.execute("/bin/sh", ["-c", script])
	var now_ms: int = Time.get_ticks_msec()
	var latest: Dictionary = {"name": name, "home": _folder, "pid": pid, "began_ms": now_ms, "due_ms": now_ms + LIMIT_MS}
	Engine.set_meta(LATEST, latest)
	return name


## Return the outcome of a start: nothing while it runs; "error" is empty if a daemon answers.
static func outcome(name: String) -> Dictionary:
	var latest: Dictionary = _latest()
	if latest.get("name") != name:
		# Another home's start has come in between, so this one's outcome is not kept.
		return {"error": _error("the outcome of the start is not known", Endpoint.START_HINT)}
	if not latest.has("error"):
		_look_for_outcome(latest)
	return {"error": latest["error"]} if latest.has("error") else {}


static func _latest() -> Dictionary:
	return Engine.get_meta(LATEST) if Engine.has_meta(LATEST) else {}


static func _look_for_outcome(latest: Dictionary) -> void:
	var name: String = latest["name"]
	var pid: int = latest["pid"]
	if pid != 0:
		if pid < 0 or not OS.is_process_running(pid):
			var is_done: bool = pid > 0 and OS.get_process_exit_code(pid) == 0
			latest["error"] = {} if is_done else _error("the daemon could not be started", Endpoint.START_HINT)
	elif FileAccess.file_exists(name + ".failed"):
		latest["error"] = _reason_in(name + ".failed")
		_remove(name + ".failed")
	elif Time.get_ticks_msec() >= (latest["began_ms"] as int) + BEGUN_MS and not FileAccess.file_exists(name + ".out"):
		# A file that was renamed a moment ago is seen at the next look.
		if not FileAccess.file_exists(name + ".failed"):
			latest["error"] = {}
	if not latest.has("error") and Time.get_ticks_msec() >= (latest["due_ms"] as int):
		latest["error"] = _error("the daemon did not start in time", "godot-supervisor logs --daemon")


## Return a script for a shell, which starts the daemon in the background, and keeps what a failed start has said.
func _script(name: String, words: PackedStringArray) -> String:
	var variables: Dictionary = _variables()
	var start: PackedStringArray = ["env"]
	for variable: String in variables:
		start.append(_quoted("%s=%s" % [variable, variables[variable]]))
	for word: String in words:
		start.append(_quoted(word))
	var said: String = _quoted(name + ".out")
	# A file of another user would choose the program. Its owner can be asked for in this way only.
	var checked: String = "test -O %s && %s" % [_quoted(_path), " ".join(start)]
	var ended: String = "if ( %s ) >%s 2>&1; then rm -f %s; else mv %s %s; fi"
	ended = ended % [checked, said, said, said, _quoted(name + ".failed")]
	return "cd /; ( %s ) >/dev/null 2>&1 </dev/null &" % ended


## Start the daemon as a child of the editor: on Windows, which makes no copy of the editor for that, and for paths that
## a shell would change.
func _create(words: PackedStringArray) -> int:
	var variables: Dictionary = _variables()
	var before: Dictionary = {}
	for name: String in variables:
		if OS.has_environment(name):
			before[name] = OS.get_environment(name)
		OS.set_environment(name, str(variables[name]))
	var pid: int = OS.create_process(words[0], words.slice(1))
	for name: String in variables:
		if before.has(name):
			OS.set_environment(name, str(before[name]))
		else:
			OS.unset_environment(name)
	return pid


## Return the variables that the daemon needs besides those of the editor.
func _variables() -> Dictionary:
	var found: Dictionary = _environment.duplicate()
	# A snap gets a HOME of its own, in which the daemon would look for its files.
	var user: String = OS.get_environment("SNAP_REAL_HOME")
	if user.is_absolute_path():
		found["HOME"] = user
	return found


## Return the error in the file with what a failed command has printed.
static func _reason_in(path: String) -> Dictionary:
	var said: String = _said(path)
	var json: JSON = JSON.new()
	var begin_of_error: int = said.find("{")
	if begin_of_error >= 0 and json.parse(said.substr(begin_of_error)) == OK and json.data is Dictionary:
		var found: Dictionary = json.data
		if found.get("message") is String and found.get("data") is Dictionary:
			var reason: Dictionary = _error(found["message"] as String, "")
			reason.merge(found["data"] as Dictionary, true)
			return reason
	if said.strip_edges().is_empty():
		return _error("start.json belongs to another user, and is not believed", Endpoint.START_HINT)
	var lines: PackedStringArray = said.strip_edges().split("\n")
	var last: String = lines[lines.size() - 1].left(MESSAGE_MAX)
	return _error("the daemon could not be started: %s" % last, Endpoint.INSTALL_HINT)


## Remove what earlier editors have left: the outcome of a start that came after their end.
func _remove_stale() -> void:
	var now_s: int = int(Time.get_unix_time_from_system())
	for name: String in DirAccess.get_files_at(_folder):
		if name.begins_with("start-") and name.get_extension() in ["out", "failed"]:
			var path: String = _folder.path_join(name)
			if now_s - FileAccess.get_modified_time(path) > STALE_S:
				_remove(path)


static func _remove(path: String) -> void:
	DirAccess.remove_absolute(path)


static func _said(path: String) -> String:
	var file: FileAccess = FileAccess.open(path, FileAccess.READ)
	if file == null:
		return ""
	var content: PackedByteArray = file.get_buffer(mini(file.get_length(), BYTES_MAX))
	return content.get_string_from_ascii() if Endpoint.is_ascii(content) else "it has printed what is no text"


func _refuse(message: String, hint: String) -> void:
	problem = _error(message, hint)


static func _error(message: String, hint: String) -> Dictionary:
	var error: Dictionary = {"code": "DAEMON_NOT_RUNNING", "message": message, "hint": hint, "fault": "environment"}
	error.merge({"retryable": true, "safe_to_retry": true})
	return error


static func _texts(value: Variant) -> PackedStringArray:
	var found: PackedStringArray = []
	if value is Array:
		for each: Variant in value as Array:
			if not each is String:
				return []
			found.append(each as String)
	return found


static func _quoted(word: String) -> String:
	return "'%s'" % word.replace("'", "'\\''")


static func _is_changed_by_shell(script: String) -> bool:
	return CHANGED_BY_SHELL.any(func(character: String) -> bool: return script.contains(character))


static func _others_may_open(path: String) -> bool:
	if OS.get_name() == "Windows":
		return false
	# A file that only its owner may read, and that can be read, is this user's.
	return (FileAccess.get_unix_permissions(path) & 0x3f) != 0
