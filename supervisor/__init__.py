"""godot-supervisor: one daemon per user that owns the life of MCP servers for Godot editors."""
