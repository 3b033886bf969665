@tool
extends EditorPlugin
## Calls `_process` of all nodes of the addon in the place of the engine, and measures what the calls cost.
##
## It is also the other plugin that asks for a server when the editor starts. The addon `lab` forwards commands.

const Client := preload("res://addons/godot_supervisor/supervisor_client.gd")
const OURS: String = "res://addons/godot_supervisor/"
const KIND: String = "e2e-toy"
const DOCK: StringName = &"MeasuredDock"
const DOCK_SCRIPT: String = "dock.gd"

## What the addon's nodes have cost in each frame, and how long after the frame before each frame began.
var _ours_us: PackedInt64Array = []
var _gaps_us: PackedInt64Array = []
var _began_us: int = 0
var _nodes: Array[Node] = []
## Those whose `_process` the engine always calls.
var _constant: Array[Node] = []
var _is_first_frame: bool = true

var _client: Client = null
var _attach: int = 0
var _ensure: int = 0
var _ask_us: int = 0
var _attached_us: int = 0
var _ensured_us: int = 0

var _flood: Client = null
var _events: int = 0
var _answers: int = 0


func _enter_tree() -> void:
	# Before all others in each frame.
	process_priority = -1000
	add_to_group("lab")
	# Before the engine calls those that switch themselves on.
	process_priority = -1
	_ask()


func _process(delta: float) -> void:
	var now_us: int = Time.get_ticks_usec()
	if _began_us > 0:
		_gaps_us.append(now_us - _began_us)
	_began_us = now_us
	if _is_first_frame:
		_is_first_frame = false
		_ask_us = now_us
	var ours_us: int = 0
	for node: Node in _nodes:
		if is_instance_valid(node) and node.is_inside_tree() and (node in _constant or node.is_processing()):
			# The dock switches its own `_process` on when there is something to draw.
			node.set_process(false)
			var began_us: int = Time.get_ticks_usec()
			node._process(delta)
			ours_us += Time.get_ticks_usec() - began_us
	_ours_us.append(ours_us)


## Do what the benchmark says. Returns null for commands of others.
func lab_command(command: String, words: PackedStringArray) -> Variant:
	match command:
		"begin":
			_take_over()
			_ours_us.clear()
			_gaps_us.clear()
			_events = 0
			_answers = 0
		"end":
			return {"ours": _ours_us, "gaps": _gaps_us, "events": _events, "answers": _answers, "nodes": _nodes.size()}
		"rest":
			_client.queue_free()
		"ask":
			_ask()
			_ask_us = Time.get_ticks_usec()
		"asked":
			if _attached_us == 0 or _ensured_us == 0:
				return {}
			return {"attached": _attached_us - _ask_us, "ensured": _ensured_us - _ask_us}
		"flood":
			_flood = Client.new()
			_flood.home = words[0]
			_flood.event.connect(func(_details: Dictionary) -> void: _events += 1)
			_flood.completed.connect(func(_id: int, _result: Variant) -> void: _answers += 1)
			add_child(_flood)
			_flood.subscribe()
			_flood.open()
		"ebb":
			_flood.queue_free()
		"send":
			_flood.send(words[0])
		"answers":
			return {"events": _events, "answers": _answers}
		_:
			return null
	return true


## Ask for a server that is ready, as another plugin does.
func _ask() -> void:
	_attached_us = 0
	_ensured_us = 0
	_client = Client.new()
	_client.completed.connect(_on_completed)
	_client.failed.connect(func(_id: int, error: Dictionary) -> void: push_error(JSON.stringify(error)))
	add_child(_client)
	_client.open()
	var project: String = ProjectSettings.globalize_path("res://").trim_suffix("/")
	var editor: Dictionary = {"pid": OS.get_process_id(), "project": project}
	_attach = _client.send("editor.attach", editor)
	_ensure = _client.send("server.ensure", {"kind": KIND, "owner": editor})


func _on_completed(id: int, _result: Variant) -> void:
	if id == _attach:
		_attached_us = Time.get_ticks_usec()
	elif id == _ensure:
		_ensured_us = Time.get_ticks_usec()


func _take_over() -> void:
	_nodes.clear()
	for node: Node in get_tree().root.find_children("*", "", true, false):
		var script: Script = node.get_script()
		if script == null or not script.resource_path.begins_with(OURS) or not node.has_method("_process"):
			continue
		var is_constant: bool = script.resource_path.get_file() in ["plugin.gd", "supervisor_client.gd"]
		if is_constant and not node in _constant:
			_constant.append(node)
		# Those that others cause to draw come last.
		if is_constant:
			_nodes.push_front(node)
		else:
			_nodes.append(node)
