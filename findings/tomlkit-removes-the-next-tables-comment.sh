#!/usr/bin/env bash
# tomlkit 0.15.2 keeps comments and layout, but adding a table and removing it again does not give the text back.
#
# A comment between two tables belongs to the first one for tomlkit, although people write it about the second one. So
# removing a table removes the comment above the next table. A new table gets LF, also in a file whose lines all end in
# CRLF. And after the new table was removed, an empty line stays. So a program that puts its own table into a user's
# configuration, such as that of an AI client, and later takes it out, cannot do both by tomlkit alone.
#
# Seen with tomlkit 0.15.2; the last line of the output:
#   unchanged: the same text; comment above the next table: lost; added to CRLF: LF; added and removed: another text
# The script fails if this changes.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q --disable-pip-version-check tomlkit==0.15.2
"$folder/env/bin/python" - <<'PYTHON'
import re

import tomlkit

TEXT = '[servers.first]\r\ncommand = "a"\r\n\r\n# about the second one\r\n[servers.second]\r\ncommand = "b"\r\n'

unchanged = "the same text" if tomlkit.dumps(tomlkit.parse(TEXT)) == TEXT else "another text"

document = tomlkit.parse(TEXT)
del document["servers"]["first"]
comment = "kept" if "# about the second one" in tomlkit.dumps(document) else "lost"

document = tomlkit.parse(TEXT)
document["servers"]["third"] = {"command": "c"}
added = tomlkit.dumps(document)
line_ends = "LF" if re.search(r"(?<!\r)\n", added) else "CRLF"

document = tomlkit.parse(added)
del document["servers"]["third"]
removed = "the same text" if tomlkit.dumps(document) == TEXT else "another text"

seen = f"unchanged: {unchanged}; comment above the next table: {comment}; added to CRLF: {line_ends}"
seen += f"; added and removed: {removed}"
print(seen)
assert seen == (
    "unchanged: the same text; comment above the next table: lost; added to CRLF: LF; added and removed: another text"
)
PYTHON
