#!/usr/bin/env bash
# opencode 1.18.33 writes into a project's configuration when a command only reads it.
#
# `opencode mcp list` adds a "$schema" member to an opencode.json that has none. Comments and trailing commas stay. So
# the file of a fresh clone is changed by the first look at it, and a program that compares the file with what it has
# written, or that writes it at the same time, has to expect that.
#
# Seen on Linux with opencode-ai 1.18.33; the last line of the output:
#   before: no $schema; after `mcp list`: $schema; comment: kept
# The script fails if this changes. It needs npm.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" opencode-ai@1.18.33
export HOME="$folder/home"
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME OPENCODE_CONFIG
mkdir -p "$HOME" "$folder/project"
file="$folder/project/opencode.json"
printf '{\n  // for the team\n  "mcp": {},\n}\n' >"$file"

schema() { grep -qF '"$schema"' "$file" && echo '$schema' || echo 'no $schema'; }
before="$(schema)"
(cd "$folder/project" && timeout 120 "$folder/node_modules/.bin/opencode" mcp list) >/dev/null 2>&1
grep -qF '// for the team' "$file" && comment=kept || comment=lost

seen="before: $before; after \`mcp list\`: $(schema); comment: $comment"
echo "$seen"
[ "$seen" = 'before: no $schema; after `mcp list`: $schema; comment: kept' ]
