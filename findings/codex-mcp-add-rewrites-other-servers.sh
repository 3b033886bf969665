#!/usr/bin/env bash
# `codex mcp add` of Codex 0.171.0 writes all tables below mcp_servers anew, not only the one that it adds.
#
# Codex edits its config.toml with a library that keeps comments and layout, and does so in the rest of the file. In the
# tables of other servers, however, comments and keys that this version does not know are lost, and 7 becomes 7.0. So a
# program that marks its entry there by a comment or by a key of its own does not find the mark again after the user has
# added any other server, and a key that a later version of Codex has written is lost too.
#
# Seen on Linux with @openai/codex 0.171.0; the last line of the output:
#   comment above: kept; comment in another server: lost; unknown key: lost; timeout: 7.0
# The script fails if this changes. It needs npm.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" @openai/codex@0.171.0
export CODEX_HOME="$folder/home"
mkdir "$CODEX_HOME"
cat >"$CODEX_HOME/config.toml" <<'TOML'
model = "some-model" # stays as it is

[mcp_servers.first] # started for the team
command = "first-server"
a_key_of_its_own = "mark"
startup_timeout_sec = 7
TOML

"$folder/node_modules/.bin/codex" mcp add second -- second-server >/dev/null 2>&1

has() { grep -qF "$1" "$CODEX_HOME/config.toml" && echo kept || echo lost; }
timeout="$(sed -n 's/^startup_timeout_sec = //p' "$CODEX_HOME/config.toml")"
seen="comment above: $(has '# stays as it is'); comment in another server: $(has '# started for the team')"
seen="$seen; unknown key: $(has a_key_of_its_own); timeout: $timeout"
echo "$seen"
[ "$seen" = "comment above: kept; comment in another server: lost; unknown key: lost; timeout: 7.0" ]
