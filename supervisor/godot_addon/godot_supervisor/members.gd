@tool
extends RefCounted
## Completes an object whose script was reloaded.
##
## The script editor reloads a script that was changed on disk, as by an update of this addon, and keeps the objects.
## Members that the new script has added are null then, whatever their type, and the engine crashes where a method of a
## typed container is called on such a member. So every script here with objects that live for several frames has
## [codeblock]
## const COMPILED: Array = []
## var _compiled: Variant = COMPILED
## [/codeblock]
## A reload makes another array for the constant, and the first function of each frame compares the two.


## Give the members that are null their initial values. A member that was null before keeps it, if null is its initial
## value.
static func complete(object: Object) -> void:
	var script: GDScript = object.get_script()
	var fresh: Object = script.new()
	for property: Dictionary in object.get_property_list():
		var usage: int = property["usage"]
		var name: StringName = property["name"]
		if (usage & PROPERTY_USAGE_SCRIPT_VARIABLE) != 0 and typeof(object.get(name)) == TYPE_NIL:
			object.set(name, fresh.get(name))
	if not fresh is RefCounted:
		fresh.free()
