@tool
extends RefCounted
## Makes the line that adds the MCP bridge to Claude Code, as `godot-supervisor connect` prints it.

const DaemonStart := preload("daemon_start.gd")

const PROGRAM: String = "godot-supervisor"
## The kind that the bridge takes by itself, and the name of its entry.
const DEFAULT_KIND: String = "godot-ai"
const DEFAULT_NAME: String = "godot"
const HOME: String = "GODOT_SUPERVISOR_HOME"
## What a shell leaves as it is.
const PLAIN: String = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"


## Return the line for a kind of server. [param home] is the daemon's home folder.
static func line(kind: String, home: String) -> String:
	var is_default: bool = kind == DEFAULT_KIND
	var words: PackedStringArray = ["claude", "mcp", "add", "--scope", "user", DEFAULT_NAME if is_default else kind]
	var start: DaemonStart = DaemonStart.new()
	start.read(home)
	var moved: String = str(start.environment().get(HOME, ""))
	if not moved.is_empty():
		words.append_array(PackedStringArray(["-e", "%s=%s" % [HOME, moved]]))
	words.append_array(PackedStringArray(["--", _program(start), "mcp"]))
	if not is_default:
		words.append(kind)
	return " ".join(PackedStringArray(Array(words).map(_quoted)))


## Return the program beside the interpreter that runs the daemon, because an AI client may not have it on its PATH.
static func _program(start: DaemonStart) -> String:
	var name: String = PROGRAM + ".exe" if OS.get_name() == "Windows" else PROGRAM
	var beside: String = start.program().get_base_dir().path_join(name)
	return beside if start.problem.is_empty() and FileAccess.file_exists(beside) else PROGRAM


static func _quoted(word: String) -> String:
	for letter: String in word:
		if not letter in PLAIN and not (letter == "\\" and OS.get_name() == "Windows"):
			return "\"%s\"" % word if OS.get_name() == "Windows" else "'%s'" % word.replace("'", "'\\''")
	return word
