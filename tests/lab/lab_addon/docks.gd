@tool
extends RefCounted
## Looks at a dock of the editor as a user does: its texts and buttons, a press, a picture.


## Bring the dock with this title to the front, and return its page. Returns null if there is none.
static func show(title: String, node: Node = EditorInterface.get_base_control()) -> Control:
	if node is TabContainer:
		var tabs: TabContainer = node
		for index: int in tabs.get_tab_count():
			if tabs.get_tab_title(index) == title:
				tabs.current_tab = index
				return tabs.get_tab_control(index)
	for child: Node in node.get_children(true):
		var found: Control = show(title, child)
		if found != null:
			return found
	return null


## Return the texts that can be seen, from top to bottom. Buttons are in brackets, those that cannot be pressed in round ones.
static func texts(node: Node) -> Array[String]:
	var found: Array[String] = []
	for child: Node in node.get_children():
		if child is Window:
			if (child as Window).visible:
				found.append("window: %s" % (child as Window).title)
				if child is AcceptDialog:
					found.append((child as AcceptDialog).dialog_text)
				found.append_array(texts(child))
			continue
		if not child is Control or not (child as Control).is_visible_in_tree():
			continue
		if child is Label:
			found.append((child as Label).text)
		elif child is Button:
			found.append(("(%s)" if (child as Button).disabled else "[%s]") % (child as Button).text)
		elif child is TextEdit:
			found.append((child as TextEdit).text)
		elif child is LineEdit:
			found.append("> %s" % (child as LineEdit).text)
		found.append_array(texts(child))
	return found


## Press the button with this text, also one of a window that is open. Returns whether there is one that can be pressed.
static func press(node: Node, words: String) -> bool:
	for child: Node in node.get_children(true):
		if child is Window and not (child as Window).visible:
			continue
		if child is Button and (child as Button).text == words and not (child as Button).disabled:
			(child as Button).pressed.emit()
			return true
		if press(child, words):
			return true
	return false


## Return the controls that are cut off: those that reach beyond the right edge of the page.
static func cut_off(page: Control) -> Array[String]:
	var edge: float = page.get_global_rect().end.x + 0.5
	var found: Array[String] = []
	for child: Node in page.find_children("*", "Control", true, false):
		var control: Control = child
		if control.is_visible_in_tree() and control.get_window() == page.get_window():
			if control.get_global_rect().end.x > edge:
				found.append("%s %s" % [control.get_class(), control.get_global_rect()])
	return found


## Divide the window anew: give the docks at the right as little width as possible or more, and a dock as much height as
## possible.
static func squeeze(page: Control, offset: int) -> void:
	var node: Node = page
	while node.get_parent() != null:
		node = node.get_parent()
		if not node is SplitContainer:
			continue
		var split: SplitContainer = node
		var wanted: int = -10000 if split.vertical else offset
		# Since Godot 4.6 one container can hold more than two parts.
		if "split_offsets" in split:
			var offsets: PackedInt32Array = split.get("split_offsets")
			offsets[offsets.size() - 1] = wanted
			split.set("split_offsets", offsets)
		else:
			split.split_offset = wanted


## Stop a client and a dock for a time in which messages come, and return how many microseconds each of the longest calls
## took with which they catch up.
static func time_catching_up(page: Control, pause_ms: int) -> Array[int]:
	var dock: Node = page.find_children("*", "ScrollContainer", false, false)[0]
	var client: Node = dock.get("_client")
	OS.delay_msec(pause_ms)
	var worst_us: Array[int] = [0, 0]
	for _frame: int in 20:
		for index: int in 2:
			var began_us: int = Time.get_ticks_usec()
			if index == 0:
				client.call("poll")
			elif dock.is_processing():
				dock.call("_process", 0.0)
			worst_us[index] = maxi(worst_us[index], Time.get_ticks_usec() - began_us)
		OS.delay_msec(5)
	return worst_us


## Save what a page looks like now.
static func take_picture(page: Control, path: String) -> Array[int]:
	var image: Image = page.get_viewport().get_texture().get_image()
	if path.begins_with("whole:"):
		path = path.trim_prefix("whole:")
	else:
		image = image.get_region(Rect2i(page.get_parent_control().get_global_rect()))
	image.save_png(path)
	return [image.get_width(), image.get_height()]
