#!/usr/bin/env bash
# uv 0.9.5 installs by hard links into its cache, and checks neither the link nor the cache afterwards.
#
# A program that changes an installed file in place (not by a rename) therefore changes uv's cache. A new virtual
# environment gets the changed file, although the wheel's RECORD has another hash, and `uv pip check` finds nothing.
# `--reinstall` and `--no-cache` repair it, because they fetch the wheel again. So a tool that removes a damaged
# environment and makes it anew with uv gets the same damage, on Linux, where hard links are uv's default.
#
# Seen on Linux with uv 0.9.5 and iniconfig 2.1.0; the last line of the output:
#   made anew: damaged; uv pip check: passes; reinstalled: whole; without cache: whole
# The script fails if this changes.
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/tools"
"$folder/tools/bin/pip" install -q --disable-pip-version-check uv==0.9.5
uv="$folder/tools/bin/uv"
export UV_CACHE_DIR="$folder/cache" UV_NO_CONFIG=1
unset UV_LINK_MODE UV_NO_CACHE

make() { # make NAME [OPTION...]: a virtual environment with iniconfig in it
    local name="$1"
    shift
    "$uv" venv -q --python "$(command -v python3)" "$folder/$name"
    "$uv" pip install -q --python "$folder/$name/bin/python" "$@" iniconfig==2.1.0
}
installed() { echo "$folder/$1"/lib/python*/site-packages/iniconfig/exceptions.py; }
damaged() { grep -q '^# damaged$' "$(installed "$1")" && echo damaged || echo whole; }

make first
echo '# damaged' >>"$(installed first)" # in place: the file keeps its inode
make second
second="$(damaged second)"
"$uv" pip check -q --python "$folder/second/bin/python" && check=passes || check=fails
make third --no-cache
third="$(damaged third)"
"$uv" pip install -q --python "$folder/second/bin/python" --reinstall iniconfig==2.1.0

seen="made anew: $second; uv pip check: $check; reinstalled: $(damaged second); without cache: $third"
echo "$seen"
[ "$seen" = "made anew: damaged; uv pip check: passes; reinstalled: whole; without cache: whole" ]
