"""Input of a hostile or broken client: bytes, frames, and fields of methods."""

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from supervisor.wire.fields import Range
from supervisor.wire.messages.methods import METHODS

TEXTS = (
    "",
    "toy",
    "toy-1",
    "../../../etc/passwd",
    "/",
    "/tmp",
    "~",
    "%s%n{0}${HOME}`id`;|&",
    "\x1b]0;title\x07\x1b[2J\x9b31m",
    "\u202egnp.exe",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "\N{PILE OF POO}" * 64,
    "x" * 256,
    "x" * 257,
    "x" * 5000,
    "1.0",
    "4.3.1",
    "ready",
    "busy",
)
NUMBERS = (0, -1, 1, 1.0, 80, 8000, 65535, 65536, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308)

TEXT = st.sampled_from(TEXTS) | st.text(max_size=20)
NUMBER = st.sampled_from(NUMBERS) | st.integers() | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
"""Everything that Python can write as JSON, including NaN and Infinity, which JSON does not have."""

METHOD = st.sampled_from(["ping", "status", "server.get", "hello", "no.such", "rpc.discover", ""]) | TEXT


def envelopes() -> st.SearchStrategy[bytes]:
    """Return requests with some wrong parts."""
    parts = {
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers(0, 99) | JSON,
        "method": METHOD | JSON,
        "params": st.just({}) | JSON,
    }
    return st.fixed_dictionaries({}, optional=parts).map(_text)


def duplicates() -> st.SearchStrategy[bytes]:
    """Return objects with the same key twice."""
    pair = st.tuples(st.sampled_from(["jsonrpc", "id", "method", "params"]), JSON).map(
        lambda found: b"%s:%s" % (_text(found[0]), _text(found[1]))
    )
    return st.lists(pair, min_size=2, max_size=8).map(lambda pairs: b"{%s}" % b",".join(pairs))


def monsters() -> st.SearchStrategy[bytes]:
    """Return values that are too deep, too long, or no number."""
    depth = st.sampled_from([10, 500, 1000, 50_000])
    nested = st.builds(lambda n, unit: unit * n, depth, st.sampled_from([b"[", b'{"a":', b'[{"":']))
    closed = depth.map(lambda n: b"[" * n + b"]" * n)
    digits = st.sampled_from([20, 4299, 4301, 100_000]).map(lambda n: b'{"jsonrpc":"2.0","id":%s}' % (b"9" * n))
    odd = st.sampled_from(
        [b"NaN", b"-Infinity", b"1e999", b"-0", b"\xef\xbb\xbf{}", b'"\\ud800"', b"'x'", b"0x1", b"1_0"]
    )
    return nested | closed | digits | odd


def lines() -> st.SearchStrategy[bytes]:
    """Return lines, some of them damaged: cut short, doubled, with a changed byte, or two in one."""
    whole = envelopes() | duplicates() | monsters() | st.binary(max_size=200)
    cut = st.builds(lambda line, share: line[: int(len(line) * share)], whole, st.floats(0, 1))
    spoilt = st.builds(
        lambda line, share, byte: line[: int(len(line) * share)] + byte + line[int(len(line) * share) :],
        whole,
        st.floats(0, 1),
        st.sampled_from([b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\n", b"\r", b"\r\n", b"\x1a", b"\x04"]),
    )
    return whole | cut | spoilt | st.builds(lambda one, other: one + other, envelopes(), envelopes())


def params_of(method: str) -> st.SearchStrategy[Any]:
    """Return params of a method: each field valid, wrong or missing, and some unknown fields."""
    return _object(METHODS[method].params) | JSON


def _object(cls: type[Any]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(cls, include_extras=True)
    always = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}
    values = {name: _value(hint) for name, hint in hints.items()}
    # Required fields are mostly present, because the other fields are not read without them.
    plain = st.fixed_dictionaries(
        {name: value for name, value in values.items() if name in always},
        optional={**{name: value for name, value in values.items() if name not in always}, "nobody": JSON},
    )
    spoilt = st.fixed_dictionaries({}, optional={name: value | JSON for name, value in values.items()})
    return plain | spoilt


def _value(hint: Any) -> st.SearchStrategy[Any]:
    """Return values that mostly fit the hint."""
    generic = _GENERIC.get(get_origin(hint))
    if generic is not None:
        return generic(*get_args(hint))
    return _object(hint) if is_dataclass(hint) and isinstance(hint, type) else _SCALARS[hint]


def _bounded(hint: Any, bounds: Any) -> st.SearchStrategy[Any]:
    if not isinstance(bounds, Range):
        return TEXT
    inside = st.integers(int(bounds.low), int(bounds.high)) if hint is int else st.floats(bounds.low, bounds.high)
    return inside | NUMBER


def _one_of(*hints: Any) -> st.SearchStrategy[Any]:
    return st.one_of([_value(each) for each in hints])


_SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: NUMBER,
    float: NUMBER,
    str: TEXT,
    types.NoneType: st.none(),
}
_GENERIC: Mapping[Any, Callable[..., st.SearchStrategy[Any]]] = {
    Annotated: _bounded,
    Union: _one_of,
    types.UnionType: _one_of,
    Literal: lambda *choices: st.sampled_from(choices) | TEXT,
    tuple: lambda hint, _: st.lists(_value(hint), max_size=5),
    Mapping: lambda _, hint: st.dictionaries(TEXT | st.sampled_from(["http", "sessions"]), _value(hint), max_size=3),
}


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()
