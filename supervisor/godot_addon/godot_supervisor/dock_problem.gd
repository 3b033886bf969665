@tool
extends VBoxContainer
## Shows what is wrong, what to do, and the command that mends it, with a button that copies it.

const Parts := preload("dock_parts.gd")

var _icon: TextureRect = Parts.icon()
var _message: Label = Parts.text()
var _hint: Label = Parts.text(Parts.DIM)
var _log: Label = Parts.text(Parts.DIM)
var _command: LineEdit = LineEdit.new()
var _command_row: HBoxContainer = null


func _init() -> void:
	add_child(Parts.icon_row(_icon, _message))
	_log.set_meta(Parts.FONT, "source")
	add_child(_log)
	add_child(_hint)
	_command.editable = false
	_command.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_command.selecting_enabled = true
	Parts.name_for_readers(_command, "Command")
	_command_row = Parts.row([_command, Parts.button("", "ActionCopy", "Copy this command", _copy)])
	add_child(_command_row)


## Show a problem (`dock_words.gd`), or nothing if it is empty.
func show_problem(problem: Dictionary) -> void:
	visible = not problem.is_empty()
	if not visible:
		return
	Parts.set_icon(_icon, problem["icon"] as String)
	_icon.visible = problem["icon"] != ""
	Parts.set_flush(_message, _icon.visible)
	Parts.set_text(_message, problem["message"] as String)
	Parts.set_text(_hint, problem["hint"] as String)
	Parts.set_text(_log, problem["log"] as String)
	_command_row.visible = problem["command"] != ""
	if _command.text != problem["command"]:
		_command.text = problem["command"]
		_command.tooltip_text = problem["command"]


func _copy() -> void:
	DisplayServer.clipboard_set(_command.text)
