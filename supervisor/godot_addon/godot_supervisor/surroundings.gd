@tool
extends RefCounted
## Tells whether a person works with this editor. A run that only imports, exports or checks must not be served.

## A headless editor is left alone, unless this variable is "1": automated tests set it.
const HEADLESS_VARIABLE: String = "GODOT_SUPERVISOR_HEADLESS"

## Options with which the editor does one thing and quits.
const ONE_TASK: Array[String] = [
	"--build-solutions", "--check-only", "--convert-3to4", "--doctool", "--export-debug", "--export-pack",
	"--export-patch", "--export-release", "--gdscript-docs", "--import", "--quit", "--script", "--test",
	"--validate-conversion-3to4", "-s",
]
## What follows is for the project, not for the editor.
const END_OF_OPTIONS: Array[String] = ["--", "++"]
const COMMAND_LINE_MAX: int = 1024 * 1024


static func is_wanted() -> bool:
	if not Engine.is_editor_hint():
		return false
	for argument: String in command_line():
		if argument in END_OF_OPTIONS:
			break
		if argument in ONE_TASK:
			return false
	return DisplayServer.get_name() != "headless" or OS.get_environment(HEADLESS_VARIABLE) == "1"


## Return the words of the command line. The engine leaves out those that it has understood, such as `--import`.
static func command_line() -> PackedStringArray:
	# The length of this file is reported as 0, so it is not read as a whole.
	var file: FileAccess = FileAccess.open("/proc/self/cmdline", FileAccess.READ) if OS.has_feature("linux") else null
	if file == null:
		return OS.get_cmdline_args()
	var content: PackedByteArray = file.get_buffer(COMMAND_LINE_MAX)
	var words: PackedStringArray = []
	var begin: int = 0
	while begin < content.size():
		var end: int = content.find(0, begin)
		if end < 0:
			end = content.size()
		words.append(content.slice(begin, end).get_string_from_utf8())
		begin = end + 1
	return words
