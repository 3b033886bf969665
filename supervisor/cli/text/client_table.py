"""AI clients and their tool calls as text, for `status` and `inspect`."""

import os
from collections.abc import Iterator, Mapping, Sequence

from ...client.json_object import JsonObject
from ..formatting import duration, name_and_version, table

_HEADERS = ("CLIENT", "PID", "PROJECT", "SERVER", "SINCE", "CALLS", "RUNNING", "NOTE")
_CALL_HEADERS = ("STATE", "TOOL", "CLIENT", "PID", "PROJECT", "EDITOR", "FOR")


def clients(rows: Sequence[JsonObject], servers: Sequence[JsonObject], *, now: float) -> Iterator[str]:
    """Yield a table of AI clients, nothing if there is none. `now` is wall time, seconds."""
    known = {server["id"]: server for server in servers}
    if rows:
        yield from table(_HEADERS, [_client_cells(client, known, now) for client in rows])


def calls(server: JsonObject, *, now: float) -> list[str]:
    """Return a table of the tool calls that run on a server or wait for it, empty if there is none."""
    rows = [
        (
            call["state"],
            call["tool"],
            call["name"],
            call["pid"],
            project_name(call["project"]),
            call["editor_pid"] and f"pid {call['editor_pid']}",
            duration(now - call["since"]),
        )
        for call in server.get("calls", ())
    ]
    more = server.get("calls_more")
    return [*(table(_CALL_HEADERS, rows) if rows else ()), *([f"and {more} more"] if more else ())]


def project_name(folder: str | None) -> str | None:
    """Return the name of a project's folder."""
    return os.path.basename(folder.rstrip(os.sep)) if folder else None  # noqa: PTH119 (pathlib costs 5 ms)


def client_note(client: JsonObject, owned: Sequence[JsonObject]) -> str:
    """Return what is unusual about a client. `owned` are the servers that it owns."""
    owner = next((each for server in owned for each in server["owners"] if each["editor"] == client["id"]), None)
    notes = [
        ("dead", client["liveness"] == "dead"),
        ("not connected", not client["connected"] and client["liveness"] != "dead"),
        ("leaving", bool(owner and owner["leaving"])),
    ]
    return ", ".join(word for word, applies in notes if applies)


def _client_cells(client: JsonObject, servers: Mapping[str, JsonObject], now: float) -> tuple[object, ...]:
    owned = [servers[name] for name in client["servers"] if name in servers]
    return (
        f"{client['name']} {client['version']}".rstrip(),
        client["pid"],
        project_name(client["project"]),
        ", ".join(map(name_and_version, owned)),
        None if client["since"] is None else duration(now - client["since"]),
        client["calls"],
        _running(client, now),
        client_note(client, owned),
    )


def _running(client: JsonObject, now: float) -> str:
    """Return the calls of a client that run or wait, each with its duration."""
    words = [
        f"{call['tool']} {'waits ' if call['state'] == 'waiting' else ''}{duration(now - call['since'])}"
        for call in client["running"]
    ]
    more = client.get("running_more")
    return ", ".join([*words, *([f"{more} more"] if more else ())])
