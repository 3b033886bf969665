@tool
extends RefCounted
## Texts of the dock, made from values of the protocol.

const COMMAND_HINTS: Array[String] = ["run this in a terminal: ", "run this outside of it: ", ""]
const COMMAND: String = "godot-supervisor "
const ACTIONS: Dictionary = {"start": "Starting", "restart": "Restarting", "stop": "Stopping"}
const ORIGINS: Dictionary = {
	"adopted": "Another program started this server. The daemon looks after it.",
	"discovered": "Another program started this server. The daemon stops it when its owner has ended, and never restarts it.",
	"external": "Another program started this server. The daemon leaves it alone.",
}
const HOW_ENDED: Dictionary = {
	"stopped": "It was stopped", "restarted": "It was restarted", "replaced": "It was replaced by another version",
	"reaped": "It was stopped, because no editor used it", "exited": "It ended by itself", "failed": "It failed",
}
## Signals by which servers are ended, for people.
const SIGNALS: Dictionary = {-9: "killed (SIGKILL)", -15: "ended (SIGTERM)", -11: "crashed (SIGSEGV)", -6: "crashed (SIGABRT)"}


## Return an error of the protocol for people: `message`, `hint`, `log`, and `command`, if a command mends it.
static func problem(error: Dictionary) -> Dictionary:
	if error.is_empty():
		return {}
	var hint: String = text(error.get("hint"))
	var message: String = sentence(text(error.get("message")))
	var found: Dictionary = {"message": message, "hint": "", "command": "", "log": "", "icon": "StatusError"}
	for begin: String in COMMAND_HINTS:
		if hint.begins_with(begin + COMMAND):
			found["command"] = hint.trim_prefix(begin)
			found["hint"] = "Run this in a terminal:"
			return found
	found["hint"] = sentence(hint)
	return found


## Return why a server has failed.
static func failure(error: Dictionary) -> String:
	var message: String = sentence(text(error.get("message")))
	return message if error.get("exit") == null else "%s Exit status: %s." % [message, exit_status(whole(error["exit"]))]


static func exit_status(status: int) -> String:
	return SIGNALS.get(status, "%d" % status) as String


## Return how a server has ended, from a row of `server.history`.
static func ended(row: Dictionary) -> String:
	if row.is_empty():
		return ""
	var words: String = HOW_ENDED.get(row.get("how"), "It has ended") as String
	if row.get("how") == "exited" and row.get("exit") != null:
		words += ", exit status %s" % exit_status(whole(row["exit"]))
	if row.get("how") in ["stopped", "restarted"] and row.get("by") != null:
		words += " by %s" % row["by"]
	return "%s at %s." % [words, clock(row.get("ended"))]


## Return why and when an orphan is stopped.
static func dying(server: Dictionary) -> String:
	var reap: Dictionary = server["reap"]
	var reasons: Array = reap["reasons"] if reap.get("reasons") is Array else []
	var why: String = sentence(", ".join(PackedStringArray(reasons)))
	var time: String = "It is stopped at %s." % clock(server["due_at"], true) if server.has("due_at") else ""
	return " ".join(PackedStringArray([why, time])).strip_edges()


static func progress(details: Dictionary) -> String:
	var message: String = text(details.get("message"))
	var stage: String = text(details.get("stage"))
	if details.get("total") != null and details.get("done") != null:
		return "%s: %s (%d of %d)" % [stage.capitalize(), message, whole(details["done"]), whole(details["total"])]
	return message if not message.is_empty() and message != stage else ""


static func call_details(tool_call: Dictionary, here: Dictionary) -> String:
	var where: String = ""
	if whole(tool_call.get("editor_pid")) == here["pid"] or tool_call.get("project") == here["project"]:
		where = " in this editor"
	elif tool_call.get("project") is String:
		where = " in %s" % (tool_call["project"] as String).get_file()
	return "%s%s, since %s" % [tool_call.get("tool"), where, clock(tool_call.get("since"), true)]


## Return a wall time as the time of the day here.
static func clock(seconds: Variant, with_seconds: bool = false) -> String:
	if not (seconds is float or seconds is int):
		return "?"
	var bias_minutes: int = Time.get_time_zone_from_system()["bias"]
	var time: String = Time.get_time_string_from_unix_time(int(float(seconds)) + bias_minutes * 60)
	return time if with_seconds else time.left(5)


## Return a text with a capital letter and a full stop. Ids and paths at the begin stay as they are.
static func sentence(words: String) -> String:
	if words.is_empty():
		return ""
	var first: String = words.get_slice(" ", 0).rstrip(",:;")
	var is_word: bool = first.is_valid_identifier() and first == first.to_lower() and not first.contains("_")
	var begun: String = words[0].to_upper() + words.substr(1) if is_word else words
	return begun if begun.right(1) in [".", "!", "?", ":"] else begun + "."


static func text(value: Variant) -> String:
	return value if value is String else ""


static func whole(value: Variant) -> int:
	if value is int:
		return value
	return int(value as float) if value is float else 0
