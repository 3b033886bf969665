"""The command line: parses arguments, calls the client, prints. `main.py` runs it; `group.py` lists the commands."""
