@tool
extends RefCounted
## Makes the controls of the dock. Icons and colours are those of the editor's theme, and are set again when it changes.

const ICON: StringName = &"supervisor_icon"
const COLOUR: StringName = &"supervisor_colour"
const FONT: StringName = &"supervisor_font"
## Of a text that has no margin at its left.
const FLUSH: StringName = &"supervisor_flush"
## The colour of texts that matter less.
const DIM: String = "font_disabled_color"


## Return a text that wraps. [param colour] is a colour of the editor's theme, or "" for that of texts.
static func text(colour: String = "") -> Label:
	var label: Label = Label.new()
	label.autowrap_mode = TextServer.AUTOWRAP_WORD_SMART
	label.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	label.mouse_filter = Control.MOUSE_FILTER_PASS
	label.set_meta(COLOUR, colour)
	return label


## Return a text of one line, which ends with an ellipsis where there is no room, and then has a tooltip.
static func line(colour: String = "") -> Label:
	var label: Label = text(colour)
	label.autowrap_mode = TextServer.AUTOWRAP_OFF
	label.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	return label


## Return a picture as wide as an icon and as high as a line of text, which stands beside the first line of one that wraps.
static func icon() -> TextureRect:
	var picture: TextureRect = TextureRect.new()
	picture.stretch_mode = TextureRect.STRETCH_KEEP_CENTERED
	picture.size_flags_vertical = Control.SIZE_SHRINK_BEGIN
	picture.set_meta(ICON, "")
	return picture


static func button(words: String, icon_name: String, tooltip: String, pressed: Callable) -> Button:
	var made: Button = Button.new()
	made.text = words
	made.tooltip_text = tooltip
	made.set_meta(ICON, icon_name)
	made.pressed.connect(pressed)
	name_for_readers(made, words if not words.is_empty() else tooltip)
	return made


static func row(children: Array[Control]) -> HBoxContainer:
	var box: HBoxContainer = HBoxContainer.new()
	for child: Control in children:
		box.add_child(child)
	return box


## Return buttons beside each other, as far as there is room.
static func flow(buttons: Array[Button]) -> HFlowContainer:
	var box: HFlowContainer = HFlowContainer.new()
	for each: Button in buttons:
		box.add_child(each)
	return box


## Return a row with a picture and a text.
static func icon_row(picture: TextureRect, label: Label) -> HBoxContainer:
	# The margin of the text is around the picture, too.
	label.set_meta(FLUSH, true)
	return row([picture, label])


## Give a control the name that screen readers say. Engines before 4.5 have none.
static func name_for_readers(control: Control, words: String) -> void:
	if "accessibility_name" in control:
		control.set("accessibility_name", words)


static func set_text(label: Label, words: String, tooltip: String = "") -> void:
	label.text = words
	label.tooltip_text = tooltip
	label.visible = not words.is_empty()


static func set_icon(picture: Control, icon_name: String, colour: String = "") -> void:
	if picture.get_meta(ICON) != icon_name or picture.get_meta(COLOUR, "") != colour:
		picture.set_meta(ICON, icon_name)
		picture.set_meta(COLOUR, colour)
		paint(picture)


## Give a text a margin at its left, or none.
static func set_flush(label: Label, is_flush: bool) -> void:
	if label.get_meta(FLUSH) != is_flush:
		label.set_meta(FLUSH, is_flush)
		paint(label)


static func set_colour(label: Label, colour: String) -> void:
	if label.get_meta(COLOUR) != colour:
		label.set_meta(COLOUR, colour)
		paint(label)


## Give a container as many children as are needed.
static func set_count(container: Container, count: int, make: Callable) -> void:
	while container.get_child_count() < count:
		var child: Control = make.call()
		container.add_child(child)
		paint_all(child)
	while container.get_child_count() > count:
		var last: Node = container.get_child(-1)
		container.remove_child(last)
		last.queue_free()


## Set icons and colours of a control and of all below it.
static func paint_all(root: Control) -> void:
	paint(root)
	for child: Node in root.get_children():
		if child is Control:
			paint_all(child as Control)


static func paint(control: Control) -> void:
	if not control.is_inside_tree():
		return
	if control.has_meta(FONT):
		var font_name: String = control.get_meta(FONT)
		control.add_theme_font_override("font", control.get_theme_font(font_name, "EditorFonts"))
		control.add_theme_font_size_override("font_size", control.get_theme_font_size(font_name + "_size", "EditorFonts"))
	if control is Label and control.has_meta(COLOUR):
		var colour: String = control.get_meta(COLOUR)
		if colour.is_empty():
			control.remove_theme_color_override("font_color")
		elif control.has_theme_color(colour, "Editor"):
			control.add_theme_color_override("font_color", control.get_theme_color(colour, "Editor"))
	if control.has_meta(FLUSH):
		_make_flush(control)
	if not control.has_meta(ICON):
		return
	var icon_name: String = control.get_meta(ICON)
	var has_icon: bool = not icon_name.is_empty() and control.has_theme_icon(icon_name, "EditorIcons")
	var texture: Texture2D = control.get_theme_icon(icon_name, "EditorIcons") if has_icon else null
	if control is Button:
		(control as Button).icon = texture
	elif control is TextureRect:
		(control as TextureRect).texture = texture
		var font: Font = control.get_theme_font("font", "Label")
		var padding: StyleBox = control.get_theme_stylebox("normal", "Label")
		var height: float = font.get_height(control.get_theme_font_size("font_size", "Label"))
		var width: float = control.get_theme_icon("StatusError", "EditorIcons").get_width()
		var around: Vector2 = padding.get_minimum_size()
		control.custom_minimum_size = Vector2(width + around.x, height + around.y)


static func _make_flush(label: Control) -> void:
	label.remove_theme_stylebox_override("normal")
	if not label.get_meta(FLUSH):
		return
	var margins: StyleBox = label.get_theme_stylebox("normal")
	var flush: StyleBoxEmpty = StyleBoxEmpty.new()
	for side: Side in [SIDE_TOP, SIDE_RIGHT, SIDE_BOTTOM] as Array[Side]:
		flush.set_content_margin(side, margins.get_margin(side))
	label.add_theme_stylebox_override("normal", flush)
