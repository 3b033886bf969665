@tool
extends RefCounted
## Puts the dock into the editor's window, and takes it out again. Godot 4.6 has docks of a class of their own.

const Client := preload("supervisor_client.gd")
const Dock := preload("dock.gd")
const EditorServer := preload("editor_server.gd")

const TITLE: String = "Supervisor"
const ICON: StringName = &"Tools"


## Add the dock, and return the control that holds it.
static func add(plugin: EditorPlugin, client: Client, server: EditorServer) -> Control:
	var place: Control = null
	# The class is not known to engines before 4.6, in which this script has to be read too.
	if plugin.has_method("add_dock") and ClassDB.can_instantiate("EditorDock"):
		place = ClassDB.instantiate("EditorDock")
		place.set("title", TITLE)
		place.set("icon_name", ICON)
		place.set("layout_key", "godot_supervisor")
		place.set("default_slot", ClassDB.class_get_integer_constant("EditorDock", "DOCK_SLOT_RIGHT_BL"))
		plugin.call("add_dock", place)
	else:
		place = MarginContainer.new()
		place.name = TITLE
		plugin.add_control_to_dock(EditorPlugin.DOCK_SLOT_RIGHT_BL, place)
	_fill(place, client, server)
	return place


static func remove(plugin: EditorPlugin, place: Control) -> void:
	if place == null:
		return
	if place.is_class("EditorDock"):
		plugin.call("remove_dock", place)
	else:
		plugin.remove_control_from_docks(place)
	place.queue_free()


## Make the dock again if its scripts were reloaded: a later release has other controls.
static func renew(place: Control, client: Client, server: EditorServer) -> void:
	var dock: Dock = place.get_child(0)
	if not dock.is_current():
		dock.leave()
		place.remove_child(dock)
		dock.queue_free()
		_fill(place, client, server)


static func _fill(place: Control, client: Client, server: EditorServer) -> void:
	var dock: Dock = Dock.new()
	place.add_child(dock)
	dock.follow(client, server)
