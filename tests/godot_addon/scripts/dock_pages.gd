extends SceneTree
## Gives what a daemon has said to the dock's state, and writes the pages that come of it (tests/godot_addon).

const Page := preload("res://addons/godot_supervisor/dock_page.gd")
const State := preload("res://addons/godot_supervisor/dock_state.gd")

## Of the answers, in which times are counted from here.
const NOW: float = 1700001000.0


func _initialize() -> void:
	var cases: Array = JSON.parse_string(FileAccess.get_file_as_string("res://cases.json"))
	var results: Array[Array] = []
	for case: Dictionary in cases:
		results.append(_play(case["here"] as Dictionary, case["steps"] as Array))
	var file: FileAccess = FileAccess.open("res://results.json", FileAccess.WRITE)
	file.store_string(JSON.stringify(results, "", false, true))
	file.close()
	quit()


func _play(here: Dictionary, steps: Array) -> Array:
	here["pid"] = int(here["pid"] as float)
	var state: State = State.new()
	var pages: Array = []
	for step: Array in steps:
		match step[0]:
			"connected":
				state.take_connected(step[1] as Dictionary)
			"disconnected":
				state.take_disconnected(step[1] as Dictionary)
			"give up":
				state.give_up(step[1] as Dictionary)
			"snapshot":
				state.take_snapshot(step[1] as Dictionary, NOW)
			"event":
				state.take_event(step[1] as Dictionary)
			"calls":
				state.take_calls(step[1] as Dictionary)
			"server":
				state.stale.erase((step[1] as Dictionary)["id"])
				state.take_server(step[1] as Dictionary, NOW)
			"history":
				state.take_history(step[1])
			"action":
				state.actions[1] = step[1]
			"error":
				state.errors[step[1]] = step[2]
			"page":
				pages.append(Page.new(state, here).compose())
			"stale":
				pages.append(state.stale.keys())
			"users":
				pages.append(Page.new(state, here).other_users(state.servers[step[1]] as Dictionary))
			"cost":
				pages.append(_cost(state, here, step[1] as Dictionary, int(step[2] as float)))
	return pages


## Return how many microseconds it takes at best to take so many events, and to compose one page of them.
func _cost(state: State, here: Dictionary, event: Dictionary, count: int) -> int:
	var best_us: int = 1_000_000
	for _round: int in 5:
		var began_us: int = Time.get_ticks_usec()
		for _each: int in count:
			state.take_event(event)
		Page.new(state, here).compose()
		best_us = mini(best_us, Time.get_ticks_usec() - began_us)
	return best_us
