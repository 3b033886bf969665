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
const SYSTEM_FILE_MAX: int = 1024 * 1024
## proc(5): `starttime`, counted from the state, which follows the name.
const START_FIELD: int = 19


static func is_wanted() -> bool:
	if not Engine.is_editor_hint():
		return false
	for argument: String in command_line():
		if argument in END_OF_OPTIONS:
			break
		if argument in ONE_TASK:
			return false
	return DisplayServer.get_name() != "headless" or OS.get_environment(HEADLESS_VARIABLE) == "1"


## Return what tells this process from others of its number, as the daemon has it. Returns "" if that is not known.
## In a sandbox of its own, such as Flatpak's, an editor has a number that is another process's outside.
static func start_token() -> String:
	var boot: String = _read_system_file("/proc/sys/kernel/random/boot_id").get_string_from_ascii().strip_edges()
	var stat: String = _read_system_file("/proc/self/stat").get_string_from_ascii()
	# The name of the program, in brackets, may contain anything.
	var fields: PackedStringArray = stat.get_slice(")", stat.get_slice_count(")") - 1).strip_edges().split(" ")
	return "%s:%s" % [boot, fields[START_FIELD]] if not boot.is_empty() and fields.size() > START_FIELD else ""


## Return the words of the command line. The engine leaves out those that it has understood, such as `--import`.
static func command_line() -> PackedStringArray:
	var content: PackedByteArray = _read_system_file("/proc/self/cmdline")
	if content.is_empty():
		return OS.get_cmdline_args()
	var words: PackedStringArray = []
	var begin: int = 0
	while begin < content.size():
		var end: int = content.find(0, begin)
		if end < 0:
			end = content.size()
		words.append(content.slice(begin, end).get_string_from_utf8())
		begin = end + 1
	return words


## Read a file of the kernel, whose length is reported as 0. Returns nothing where there are no such files.
static func _read_system_file(path: String) -> PackedByteArray:
	var file: FileAccess = FileAccess.open(path, FileAccess.READ) if OS.has_feature("linux") else null
	return PackedByteArray() if file == null else file.get_buffer(SYSTEM_FILE_MAX)
