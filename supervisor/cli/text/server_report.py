"""The report of `up` and `adopt`: the server's address, what will end it, and the command for Claude Code."""

from collections.abc import Iterator, Sequence

from ...client.json_object import JsonObject
from ...kinds.kind import Kind
from .. import formatting
from ..context.bridge import without_default
from .ai_clients import claude_command
from .server_remarks import remarks


def lines(
    server: JsonObject, editors: Sequence[JsonObject], kind: Kind | None, *, already_running: bool
) -> Iterator[str]:
    """Yield the report on a server that is ready. `kind` is None if its recipe is not known here."""
    yield f"{formatting.name_and_version(server)} {'already running' if already_running else server['state']}"
    process = server["process"]
    facts = {
        "url": server["url"],
        "pid": process["pid"] if process else None,
        "ports": formatting.ports(server),
        "log": server["log"] and formatting.tilde(server["log"]),
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:<6} {formatting.cell(value)}"
    why = server.get("version_why")
    if why and server["version"]:
        yield formatting.printable(f"version {server['version']}: {why}")
    yield from remarks(server, before_note="note: ", before_port="")
    yield what_ends_it(server, editors, kind)
    yield from how_to_add_it(server)


def how_to_add_it(server: JsonObject) -> Iterator[str]:
    """Yield how a user adds the server to AI clients."""
    command = claude_command(server)
    if command is None:
        return
    yield ""
    if server["url"]:
        kind = without_default(server["kind"])
        yield "To add it to your AI clients, which then keep it through restarts:"
        yield f"  godot-supervisor clients install{'' if kind is None else f' --kind {kind}'}"
        yield "Or by hand, to Claude Code:"
    else:
        yield "To add it to Claude Code:"
    yield f"  {command}"


def what_ends_it(server: JsonObject, editors: Sequence[JsonObject], kind: Kind | None) -> str:
    """Return one line that says what will end the server, by the same rules as the daemon: see `core.reaping`."""
    living = [owner for owner in server["owners"] if owner["liveness"] != "dead" and not owner["leaving"]]
    sessions = "; it is kept while an editor session is open" if kind is None or kind.sessions else ""
    soon = f"{formatting.number(kind.grace_s)} s later" if kind else "soon after"
    # A server that was started without an owner runs until a user stops it, unless its kind has an idle limit.
    runs_until_stopped = server.get("until_stopped", not server["owners"]) and not (kind and kind.idle_s)
    if runs_until_stopped and server["reap"]["verdict"] == "keep":
        reason = "it was also started without an owner" if living else "no owner"
        return f"{reason}: it runs until `{_down(server)}`"
    if living:
        names = {editor["id"]: editor.get("name") or editor["id"] for editor in editors}
        names |= {owner["editor"]: owner["client"]["name"] for owner in living if owner.get("client")}
        owners = " and ".join(f"pid {owner['pid']} ({names.get(owner['editor'], owner['editor'])})" for owner in living)
        verb = "ends" if len(living) == 1 else "have ended"
        return f"when {formatting.printable(owners)} {verb}, the server is stopped {soon}{sessions}"
    if server["owners"] or server["reap"]["verdict"] != "keep":
        leaving = "have ended or are leaving" if server["owners"] else "have ended"
        return f"its owners {leaving}: it is stopped soon, unless it gets a new owner{sessions}"
    if kind and kind.idle_s:
        unused = formatting.number(max(kind.grace_s, kind.idle_s))
        return f"no owner: it is stopped after {unused} s without use, or by `{_down(server)}`"
    return f"no owner: it runs until `{_down(server)}`"


def _down(server: JsonObject) -> str:
    return f"godot-supervisor down {server['id']}"
