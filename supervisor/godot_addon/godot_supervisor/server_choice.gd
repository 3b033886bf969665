@tool
extends RefCounted
## Which kind of server this project has, by a setting of the project, or by the plugin that needs one.

## The name of a kind. "" means the kind of a plugin in `addons/`, and `NONE` no server.
const SETTING: String = "godot_supervisor/server/kind"
const NONE: String = "none"
## Plugins that need a server: kind -> the plugin's file. Each starts one by itself where it finds none.
const PLUGINS: Dictionary = {"godot-ai": "res://addons/godot_ai/plugin.cfg"}
const ENABLED_PLUGINS: String = "editor_plugins/enabled"


## Show the setting in Project Settings. While it is "" nothing of it is written into `project.godot`.
static func register() -> void:
	if not ProjectSettings.has_setting(SETTING):
		ProjectSettings.set_setting(SETTING, "")
	ProjectSettings.set_initial_value(SETTING, "")
	ProjectSettings.set_as_basic(SETTING, true)
	var suggestions: String = ",".join(PackedStringArray([NONE] + PLUGINS.keys()))
	ProjectSettings.add_property_info({
		"name": SETTING,
		"type": TYPE_STRING,
		"hint": PROPERTY_HINT_ENUM_SUGGESTION,
		"hint_string": suggestions,
	})


## Return the kind of this project's server, or "" if it has none.
static func kind() -> String:
	var chosen: String = str(ProjectSettings.get_setting(SETTING, "")).strip_edges()
	if chosen == NONE:
		return ""
	if not chosen.is_empty():
		return chosen
	for each: String in PLUGINS:
		if FileAccess.file_exists(PLUGINS[each] as String):
			return each
	return ""


## Return whether a plugin of this project that is switched on starts a server of this kind by itself.
static func has_starting_plugin(of_kind: String) -> bool:
	var enabled: Variant = ProjectSettings.get_setting(ENABLED_PLUGINS, PackedStringArray())
	return PLUGINS.has(of_kind) and enabled is PackedStringArray and PLUGINS[of_kind] in (enabled as PackedStringArray)
