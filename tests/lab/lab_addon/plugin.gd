@tool
extends EditorPlugin
## Does what a test says (tests/lab/godot.py), and prints an answer to each command.

const Docks := preload("docks.gd")

var _commands: String = "res://%s" % OS.get_environment("GODOT_LAB_COMMANDS")
var _is_idle: bool = false
var _done: int = 0
var _worst_us: int = 0
var _began_us: int = 0
var _frames: int = 0


func _ready() -> void:
	print("LAB process %d" % OS.get_process_id())
	print("LAB ready")


func _process(_delta: float) -> void:
	_frames += 1
	if _began_us > 0:
		_worst_us = maxi(_worst_us, Time.get_ticks_usec() - _began_us)
	_began_us = Time.get_ticks_usec()
	if not _is_idle and not EditorInterface.get_resource_filesystem().is_scanning():
		_is_idle = true
		print("LAB idle")
	if not FileAccess.file_exists(_commands):
		return
	var order: Variant = JSON.parse_string(FileAccess.get_file_as_string(_commands))
	if order is Dictionary and int((order as Dictionary)["number"] as float) > _done:
		var found: Dictionary = order
		_done = int(found["number"] as float)
		var words: PackedStringArray = PackedStringArray(found["words"] as Array)
		var answer: Variant = _do(found["command"] as String, words)
		print("LAB %d %s" % [_done, JSON.stringify(answer)])


func _do(command: String, words: PackedStringArray) -> Variant:
	match command:
		"quit":
			get_tree().quit()
		"restart":
			# After the answer: nothing of this object works once the editor has begun to end.
			EditorInterface.restart_editor.call_deferred()
		"enable":
			EditorInterface.set_plugin_enabled(words[0], true)
		"disable":
			EditorInterface.set_plugin_enabled(words[0], false)
		"set":
			ProjectSettings.set_setting(words[0], words[1])
		"save":
			return ProjectSettings.save()
		"scanning":
			return EditorInterface.get_resource_filesystem().is_scanning()
		"scan":
			EditorInterface.get_resource_filesystem().scan()
		"reimport":
			EditorInterface.get_resource_filesystem().reimport_files(words)
		"reload":
			for path: String in words:
				# As the script editor does with a script that was changed on disk.
				var script: GDScript = load(path)
				script.source_code = FileAccess.get_file_as_string(path)
				script.reload(true)
		"play":
			EditorInterface.play_custom_scene(words[0])
		"stop":
			EditorInterface.stop_playing_scene()
		"stall":
			OS.delay_msec(words[0].to_int())
		"frames":
			var found: Dictionary = {"frames": _frames, "worst_us": _worst_us}
			_frames = 0
			_worst_us = 0
			return found
		"dock":
			return Docks.texts(Docks.show(words[0]))
		"press":
			return Docks.press(Docks.show(words[0]), words[1])
		"cut_off":
			return Docks.cut_off(Docks.show(words[0]))
		"clipboard":
			return DisplayServer.clipboard_get()
		"time":
			return Docks.time_catching_up(Docks.show(words[0]), words[1].to_int())
		"least_width":
			return Docks.show(words[0]).get_combined_minimum_size().x
		"squeeze":
			Docks.squeeze(Docks.show(words[0]), words[1].to_int())
		"picture":
			return Docks.take_picture(Docks.show(words[0]), words[1])
		_:
			for node: Node in get_tree().get_nodes_in_group("lab"):
				var answer: Variant = node.call("lab_command", command, words)
				if answer != null:
					return answer
			return "there is no command %s" % command
	return true
