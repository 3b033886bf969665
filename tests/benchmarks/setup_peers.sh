#!/bin/sh
# Installs this repository and the peers under $PEERS (default: peers/ in the temporary folder).
# Needs Python and npm; root only for the two Debian packages. What cannot be installed is left out of the benchmarks.
set -e
here=$(cd "$(dirname "$0")" && pwd)
PEERS=${PEERS:-${TMPDIR:-/tmp}/peers}
PYTHON=${PYTHON:-python3}
mkdir -p "$PEERS/npm"
venv() { [ -x "$PEERS/$1/bin/python" ] || "$PYTHON" -m venv "$PEERS/$1"; }
venv ours && "$PEERS/ours/bin/pip" install -q --upgrade --force-reinstall "$here/../.."
[ -x "$PEERS/sup/bin/supervisord" ] || { venv sup && "$PEERS/sup/bin/pip" install -q supervisor==4.3.0; } || true
[ -x "$PEERS/circus/bin/circusd" ] || { venv circus && "$PEERS/circus/bin/pip" install -q circus==0.19.0; } || true
[ -d "$PEERS/npm/node_modules/pm2" ] || npm install --prefix "$PEERS/npm" pm2@7 || true
for peer in mcp-remote@0.15.1 supergateway@4.0.0; do
    [ -d "$PEERS/${peer%@*}/node_modules" ] || npm install --no-fund --no-audit --prefix "$PEERS/${peer%@*}" "$peer" || true
done
for peer in mcp-proxy==0.13.0 fastmcp==4.2.3; do
    [ -x "$PEERS/${peer%==*}/bin/${peer%==*}" ] || { venv "${peer%==*}" && "$PEERS/${peer%==*}/bin/pip" install -q "$peer"; } || true
done
command -v s6-svscan >/dev/null && command -v runsvdir >/dev/null || apt-get install -y --no-install-recommends s6 runit || true
