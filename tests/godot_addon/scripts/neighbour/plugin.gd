@tool
extends EditorPlugin

var client := SupervisorClient.new()
var ensure := 0


func _enter_tree() -> void:
	client.completed.connect(_on_completed)
	client.failed.connect(_on_failed)
	add_child(client)
	client.open()
	ensure = client.send("server.ensure", {"kind": "e2e-toy", "owner": SupervisorClient.this_editor()})


func _on_completed(id: int, result: Variant) -> void:
	if id == ensure:
		print("The server listens at ", result["url"])


func _on_failed(_id: int, error: Dictionary) -> void:
	print("No server: ", error["message"], " ", error["hint"])
