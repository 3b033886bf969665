#!/usr/bin/env bash
# `gemini mcp add` of Gemini CLI 0.61.0 writes back the settings as it has read them, not as they are in the file.
#
# In a folder that the user has not trusted, the project's settings count as empty. The command writes these back: every
# other setting and every other server of .gemini/settings.json is lost, and the command reports success. In a trusted
# folder comments and order are kept, but the variables in entries of other servers are replaced by their values. So an
# entry that each member of a team fills in by ${VARIABLE} holds the value of one member afterwards.
#
# Seen on Linux with @google/gemini-cli 0.61.0; the last lines of the output:
#   untrusted: exit 0; other setting lost; other server lost
#   trusted: exit 0; comment kept; other server's variable replaced by its value
# The script fails if this changes. It needs npm.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" @google/gemini-cli@0.61.0
unset GEMINI_CLI_TRUST_WORKSPACE GEMINI_CLI_TRUSTED_FOLDERS_PATH
export HOME="$folder/home" EXAMPLE_VARIABLE="the value"
mkdir -p "$HOME/.gemini"

add() { # add FOLDER: add a server to the settings of a project that has another one; returns the exit code
    mkdir -p "$folder/$1/.gemini"
    cat >"$folder/$1/.gemini/settings.json" <<'JSON'
{
  // for the team
  "ui": { "hideTips": true },
  "mcpServers": { "first": { "command": "first-server", "args": ["${EXAMPLE_VARIABLE}"] } }
}
JSON
    (cd "$folder/$1" && "$folder/node_modules/.bin/gemini" mcp add second second-server) >/dev/null 2>&1
    echo $?
}
has() { grep -qF "$2" "$folder/$1/.gemini/settings.json"; }

code="$(add untrusted)"
has untrusted hideTips && setting=kept || setting=lost
has untrusted first-server && server=kept || server=lost
first="untrusted: exit $code; other setting $setting; other server $server"

code="$(GEMINI_CLI_TRUST_WORKSPACE=true add trusted)"
has trusted '// for the team' && comment=kept || comment=lost
has trusted '${EXAMPLE_VARIABLE}' && variable=kept || variable=changed
has trusted '"the value"' && variable='replaced by its value'
second="trusted: exit $code; comment $comment; other server's variable $variable"

printf '%s\n' "$first" "$second"
[ "$first" = "untrusted: exit 0; other setting lost; other server lost" ]
[ "$second" = "trusted: exit 0; comment kept; other server's variable replaced by its value" ]
