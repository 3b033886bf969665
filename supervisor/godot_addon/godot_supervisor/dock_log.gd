@tool
extends AcceptDialog
## Shows the last lines of a server's log.

signal refresh_wanted(server: String)

const LINES: int = 500
const REFRESH: StringName = &"refresh"
const OPEN: StringName = &"open"
## Of a log's window, at 100 %.
const SIZE: Vector2 = Vector2(760, 460)

var _server: String = ""
var _path: String = ""
var _text: TextEdit = TextEdit.new()


func _init() -> void:
	ok_button_text = "Close"
	_text.editable = false
	_text.wrap_mode = TextEdit.LINE_WRAPPING_BOUNDARY
	_text.scroll_past_end_of_file = false
	add_child(_text)
	add_button("Refresh", true, REFRESH)
	add_button("Open File", true, OPEN).tooltip_text = "Open the log in the program that your system has for it"
	custom_action.connect(_on_action)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		_text.add_theme_font_override("font", get_theme_font("source", "EditorFonts"))
		_text.add_theme_font_size_override("font_size", get_theme_font_size("source_size", "EditorFonts"))


func show_server(server: String) -> void:
	_server = server
	_path = ""
	title = "Log of %s" % server
	_text.text = "Reading the log..."
	popup_centered_clamped(Vector2i(SIZE * EditorInterface.get_editor_scale()), 0.8)
	refresh_wanted.emit(server)


## Show what the daemon has read: the result of `logs.read`.
func show_lines(result: Dictionary) -> void:
	var lines: Array = result["lines"] if result.get("lines") is Array else []
	_path = str(result.get("log", ""))
	_text.text = "\n".join(PackedStringArray(lines)) if not lines.is_empty() else "The log is empty."
	_text.tooltip_text = _path
	_text.scroll_vertical = _text.get_line_count()


func show_problem(error: Dictionary) -> void:
	_text.text = "%s\n%s" % [error.get("message", ""), error.get("hint", "")]


func _on_action(action: StringName) -> void:
	if action == REFRESH:
		refresh_wanted.emit(_server)
	elif not _path.is_empty():
		OS.shell_open(_path)
