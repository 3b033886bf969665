"""What this shell knows: the project here, its variables, its config.toml, and how these differ from the daemon's."""
