@tool
extends VBoxContainer
## Shows one server: its state, its ports and owners, its AI clients and what they run, and buttons.

signal start_pressed(card: Dictionary)
signal restart_pressed(card: Dictionary)
signal stop_pressed(card: Dictionary)
signal connect_pressed(card: Dictionary)
signal log_pressed(card: Dictionary)

const Parts := preload("dock_parts.gd")
const Problem := preload("dock_problem.gd")

const COMPILED: Array = []

var _compiled: Variant = COMPILED
## What is shown, as `dock_page.gd` has composed it.
var _card: Dictionary = {}
var _title: Label = Parts.line()
var _version: Label = Parts.line(Parts.DIM)
var _icon: TextureRect = Parts.icon()
var _state: Label = Parts.text()
var _detail: Label = Parts.text(Parts.DIM)
var _rows: GridContainer = GridContainer.new()
var _clients_title: Label = Parts.text(Parts.DIM)
var _clients: VBoxContainer = VBoxContainer.new()
var _problem: Problem = Problem.new()
var _start: Button = null
var _restart: Button = null
var _stop: Button = null
var _connect: Button = null
var _log: Button = null


func _init() -> void:
	_title.theme_type_variation = &"HeaderSmall"
	_version.horizontal_alignment = HORIZONTAL_ALIGNMENT_RIGHT
	_version.size_flags_horizontal = Control.SIZE_SHRINK_END
	_version.text_overrun_behavior = TextServer.OVERRUN_NO_TRIMMING
	add_child(Parts.row([_title, _version]))
	add_child(Parts.icon_row(_icon, _state))
	add_child(_detail)
	add_child(_problem)
	_start = Parts.button("Start", "Play", "", func() -> void: start_pressed.emit(_card))
	_restart = Parts.button("Restart", "Reload", "", func() -> void: restart_pressed.emit(_card))
	_stop = Parts.button("Stop", "Stop", "", func() -> void: stop_pressed.emit(_card))
	_connect = Parts.button("Copy Connect Line", "ActionCopy", "", func() -> void: connect_pressed.emit(_card))
	_log = Parts.button("Open Log", "Script", "", func() -> void: log_pressed.emit(_card))
	add_child(Parts.flow([_start, _restart, _stop]))
	Parts.set_text(_clients_title, "AI clients")
	add_child(_clients_title)
	add_child(_clients)
	_rows.columns = 2
	add_child(_rows)
	add_child(Parts.flow([_connect, _log]))


## Return whether all members are there: not after a reload of this script.
func is_current() -> bool:
	return is_same(_compiled, COMPILED)


## Show a card. What has not changed is not touched.
func show_card(card: Dictionary, connect_line: String) -> void:
	if card == _card:
		return
	_card = card
	Parts.set_text(_title, card["title"] as String, card["title"] as String)
	Parts.set_text(_version, card["version"] as String, "Version of the server")
	Parts.set_icon(_icon, card["icon"] as String)
	Parts.set_text(_state, card["state"] as String)
	Parts.set_colour(_state, card["colour"] as String)
	Parts.set_text(_detail, card["detail"] as String)
	_problem.show_problem(card["problem"] as Dictionary)
	_show_rows(card["rows"] as Array)
	_show_clients(card["clients"] as Array)
	_show_buttons(card, connect_line)


func _show_rows(rows: Array) -> void:
	Parts.set_count(_rows, rows.size() * 2, _make_cell)
	_rows.visible = not rows.is_empty()
	for index: int in rows.size():
		var row: Dictionary = rows[index]
		var key: Label = _rows.get_child(index * 2)
		var value: Label = _rows.get_child(index * 2 + 1)
		key.text = row["key"]
		value.text = row["value"]
		value.tooltip_text = row["tooltip"]


func _make_cell() -> Label:
	var is_key: bool = _rows.get_child_count() % 2 == 0
	var cell: Label = Parts.text(Parts.DIM if is_key else "")
	if is_key:
		cell.autowrap_mode = TextServer.AUTOWRAP_OFF
		cell.size_flags_horizontal = Control.SIZE_FILL
		cell.size_flags_vertical = Control.SIZE_FILL
	return cell


func _show_clients(clients: Array) -> void:
	_clients_title.visible = not clients.is_empty()
	_clients.visible = not clients.is_empty()
	Parts.set_count(_clients, clients.size(), _make_client)
	for index: int in clients.size():
		var client: Dictionary = clients[index]
		var row: HBoxContainer = _clients.get_child(index)
		Parts.set_icon(row.get_child(0) as TextureRect, "Play" if client["is_busy"] else "")
		Parts.set_text(row.get_child(1) as Label, "%s: %s" % [client["name"], client["does"]], client["tooltip"] as String)
		Parts.set_colour(row.get_child(1) as Label, "accent_color" if client["is_busy"] else "")


func _make_client() -> HBoxContainer:
	return Parts.icon_row(Parts.icon(), Parts.text())


func _show_buttons(card: Dictionary, connect_line: String) -> void:
	var focus: Control = get_viewport().gui_get_focus_owner()
	_start.text = card["start"]
	_start.tooltip_text = {
		"Start": "Start this server for this editor",
		"Use": "Make this editor an owner of the server, so that it runs as long as this editor",
		"Keep": "Make this editor an owner of the server, so that it is not stopped",
	}[card["start"]]
	_start.visible = card["can_start"]
	_restart.visible = card["can_restart"]
	_restart.tooltip_text = "Stop this server and start it again, on the same ports"
	_stop.visible = card["can_stop"]
	_stop.text = "Cancel" if card["is_working"] else "Stop"
	_stop.tooltip_text = "Do not start this server after all" if card["is_working"] else "Stop this server"
	_connect.tooltip_text = "Copy the command that adds this server to Claude Code:\n%s" % connect_line
	_log.visible = card["log"] != ""
	_log.tooltip_text = "Show the last lines that this server has printed"
	for button: Button in [_start, _stop] as Array[Button]:
		Parts.name_for_readers(button, "%s %s" % [button.text, card["title"]])
	# Who works with the keyboard stays in this card when a button goes.
	if focus is Button and is_ancestor_of(focus) and not focus.visible:
		(_start if _start.visible else _stop if _stop.visible else _connect).grab_focus()
