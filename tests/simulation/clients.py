"""Actions of clients, plugins and users; each is one step of a story, and notes in the ledger what it was promised."""

from collections.abc import Awaitable, Callable

from supervisor.core.model import ProcessIdentity, ServerRecord
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.engine.starting.resolve import EnsureRequest
from supervisor.errors import SupervisorError
from tests.simulation.ambiguous_origins import CROWDED
from tests.simulation.driver import CheckedRequester, Request, Simulation
from tests.simulation.faults import InjectedError
from tests.simulation.ledger import Asking, Grant, Starting
from tests.simulation.life import Life
from tests.simulation.world import EDITOR


def _call_now(sim: Simulation, what: str, call: Callable[[Life], object]) -> object | None:
    """Make a call that is answered at once; return its answer, or None if it failed or no daemon is ready."""
    life = sim.life
    if life is None or not life.ready:
        return None
    with life.loop.running():
        try:
            answer = call(life)
        except (SupervisorError, InjectedError) as error:
            sim.note(f"{what}: {getattr(error, 'code', 'injected')}")
            sim.outcomes[f"{what}: {getattr(error, 'code', 'injected')}"] += 1
            return None
        except SystemExit:
            life.die()
            sim.kill_daemon("in a call")
            return None
    sim.note(f"{what}: ok")
    sim.outcomes[f"{what}: ok"] += 1
    return answer


def _server(sim: Simulation) -> str | None:
    rows = list(sim.life.records.servers) if sim.life and sim.life.ready else []
    return sim.rng.choice(rows) if rows else None


def _attached(sim: Simulation) -> tuple[ProcessIdentity, str] | None:
    found = [(editor, sim.editors[editor]) for editor in sim.living_editors()]
    rows = sim.life.records.editors if sim.life else {}
    # A plugin introduces itself again whenever a daemon does not know it.
    known = [(e, name) for e, name in found if name is not None and name in rows and rows[name].process == e]
    return sim.rng.choice(known) if known else None


def attach(sim: Simulation) -> None:
    """Attach an editor: its plugin starts, or is reloaded."""
    living = sim.living_editors()
    editor = sim.rng.choice(living) if living and (len(living) > 4 or sim.rng.random() < 0.5) else sim.new_editor()
    project = sim.ledger.starting[editor].project if editor in sim.ledger.starting else sim.any_project()
    answer = _call_now(sim, "attach", lambda life: life.attachments.attach(Arrival(editor.pid, project=project)))
    if answer is None or sim.life is None:
        return
    sim.editors[editor] = answer.id  # type: ignore[attr-defined]
    sim.ledger.attached.add(editor)
    # A request that is still waiting may be refused.
    asking = {request.kind for request in sim.ledger.asking if request.editor == editor}
    for record in sim.life.records.servers.values():
        owns = any(owner.process == editor and not owner.leaving for owner in record.owners)
        if owns and record.kind not in asking:
            sim.ledger.own(record.id, editor)
        known = {owner.process for owner in record.owners}
        for former in [e for e, c in sim.ledger.claims.get(record.id, {}).items() if c.leaving_since is not None]:
            if former not in known:
                sim.ledger.release(record.id, former)


def detach(sim: Simulation) -> None:
    """Detach an editor, for good or for a while."""
    found = _attached(sim)
    if found is None:
        return
    editor, name = found
    at_once = sim.rng.random() < 0.4
    answer = _call_now(sim, "detach", lambda life: life.attachments.detach(name, stop=at_once))
    # A daemon that dies while it answers may have done it.
    if answer is not None or sim.life is None:
        sim.ledger.detach(editor, at_once=at_once)


def reload_project(sim: Simulation) -> None:
    """Let an editor open its project again: it detaches, or fails to, starts the next editor, and ends."""
    found = _attached(sim)
    if found is None or sim.life is None or len(sim.world.processes) > CROWDED:
        return
    editor, name = found
    project = sim.life.records.editors[name].project
    if project is None:
        return
    if sim.rng.random() < 0.7:
        answer = _call_now(sim, "detach", lambda life: life.attachments.detach(name, stop=False))
        if answer is not None or sim.life is None:
            sim.ledger.detach(editor, at_once=False)
    sim.world.clock.now += 0.001
    after = sim.world.begin(EDITOR, "/usr/bin/godot", "--path", project, "-e")
    sim.editors[after] = None
    sim.ledger.starting[after] = Starting(project, sim.world.clock.now)
    sim.note(f"pid {editor.pid} starts pid {after.pid}, which opens {project}")
    sim.faults.note("project reloaded")
    sim.world.plan(sim.rng.choice((0.1, 1.3, 8.0)), lambda: sim.world.end(editor))


def release(sim: Simulation) -> None:
    """Let an editor release a server."""
    found, server = _attached(sim), _server(sim)
    if found is None or server is None:
        return
    editor, name = found
    answer = _call_now(sim, "release", lambda life: life.attachments.release_server(server, name))
    if answer is not None or sim.life is None:
        sim.ledger.release(server, editor)


def occupy(sim: Simulation) -> None:
    """Let an editor report that it is busy, or ready."""
    found = _attached(sim)
    if found is not None:
        reason = sim.rng.choice((None, "importing"))
        _call_now(sim, "occupy", lambda life: life.attachments.occupy(found[1], reason, 10.0))


def lease(sim: Simulation) -> None:
    """Let an AI client take a lease, renew it, or give it back."""
    names = list(sim.ledger.grants)
    roll = sim.rng.random()
    if names and roll < 0.35:
        name = sim.rng.choice(names)
        if _call_now(sim, "renew", lambda life: life.attachments.renew_lease(name)) is not None:
            grant = sim.ledger.grants.get(name)
            if grant is not None:
                grant.expires = sim.world.clock.now + grant.ttl_s
    elif names and roll < 0.5:
        name = sim.rng.choice(names)
        if _call_now(sim, "give back", lambda life: life.attachments.release_lease(name)) is not None:
            sim.ledger.grants.pop(name, None)
    elif (server := _server(sim)) is not None:
        ttl_s = sim.rng.choice((2.0, 20.0, 60.0))
        answer = _call_now(sim, "lease", lambda life: life.attachments.acquire_lease(server, "an AI client", ttl_s))
        if answer is not None and sim.life is not None and server in sim.life.records.servers:
            sim.ledger.grants[answer[1].id] = Grant(server, ttl_s, sim.world.clock.now + ttl_s)  # type: ignore[index]


def _ask(
    sim: Simulation, what: str, call: Callable[[Life, CheckedRequester], Awaitable[ServerRecord]], request: Request
) -> None:
    life = sim.life
    if life is None or not life.ready or len(sim.requests) > 12:
        return
    sim.note(f"{what} asked")
    if request.asking is not None:
        sim.ledger.asking.append(request.asking)
    with life.loop.running():
        sim.ask(what, lambda: call(life, CheckedRequester(request)), request)


def _request(sim: Simulation, what: str) -> Request:
    return Request(f"q-{sim.steps}", what, sim.world.clock.now)


def ensure(sim: Simulation) -> None:
    """Let a plugin or a user ask for a server."""
    if sim.life is None or not sim.life.ready:
        return
    kind = sim.rng.choice(("toy", "toy", "toy", "solo", "solo", "plain"))
    found = _attached(sim) if sim.rng.random() < 0.85 else None
    editor = sim.life.records.editors.get(found[1]) if found else None
    request = _request(sim, "ensure")
    if editor is not None:
        request.asking = Asking(kind, editor.process)
    asked = EnsureRequest(
        kind,
        editor,
        sim.any_project() if kind == "solo" else None,
        version=sim.rng.choice((None, None, None, "1.0", "2.0")) if kind != "plain" else None,
        request_id=request.name if sim.rng.random() < 0.3 else None,
    )
    _ask(sim, "ensure", lambda life, requester: life.supervisor.ensure(asked, requester), request)


def _name_when_accepted(sim: Simulation, server: str, request: Request) -> None:
    def named() -> None:
        record = sim.life.records.servers.get(server) if sim.life else None
        if record is not None:
            sim.ledger.note_stop_request(record)

    request.on_accepted = named


def stop(sim: Simulation) -> None:
    """Let a user stop a server."""
    server = _server(sim)
    if server is None:
        return
    request, force = _request(sim, "stop"), sim.rng.random() < 0.7
    _name_when_accepted(sim, server, request)
    _ask(sim, "stop", lambda life, requester: life.supervisor.stop(server, requester, force=force), request)


def restart(sim: Simulation) -> None:
    """Let a user restart a server."""
    server = _server(sim)
    if server is None:
        return
    request, force = _request(sim, "restart"), sim.rng.random() < 0.7
    # A user who names a server gets this one, so "one server for each key" is not checked for it.
    sim.ledger.adopted.add(server)
    _name_when_accepted(sim, server, request)
    _ask(sim, "restart", lambda life, requester: life.supervisor.restart(server, requester, force=force), request)


def adopt(sim: Simulation) -> None:
    """Let a user adopt the server on a port."""
    found = _attached(sim) if sim.rng.random() < 0.5 else None
    if sim.life is None or not sim.life.ready:
        return
    editor = sim.life.records.editors.get(found[1]) if found else None
    request = _request(sim, "adopt")
    port = sim.rng.choice(sim.world.listeners)[1] if sim.world.listeners else 8000
    if editor is not None:
        request.asking = Asking("toy", editor.process)
    asked = AdoptRequest(port=port, editor=editor)
    _ask(sim, "adopt", lambda life, requester: life.supervisor.adopt(asked, requester), request)


def look(sim: Simulation) -> None:
    """Let a client read: start a discovery, check a server, or judge it."""
    server = _server(sim)
    roll = sim.rng.random()
    if roll < 0.3:
        _call_now(sim, "look", lambda life: life.supervisor.discovery.look_soon())
    elif server is not None and roll < 0.6:
        _ask(sim, "check", lambda life, _: life.engine.inspector.check(server), _request(sim, "check"))
    elif server is not None:
        act = sim.rng.random() < 0.5

        async def judged(life: Life) -> ServerRecord:
            await life.engine.inspector.judge(server, act=act)
            return life.records.server(server)

        _ask(sim, "judge", lambda life, _: judged(life), _request(sim, "judge"))


def again(sim: Simulation) -> None:
    """Let a client ask for the outcome of an earlier request."""
    names = [request.name for request in sim.requests] + sim.ended[-5:]
    if names:
        name = sim.rng.choice(names)
        request = _request(sim, "result")
        _ask(sim, "result", lambda life, requester: life.engine.requests.result(name, requester), request)


def cancel(sim: Simulation) -> None:
    """Let a client cancel a request, or disconnect."""
    if sim.ended and sim.rng.random() < 0.2:
        # A late cancel changes nothing.
        name = sim.rng.choice(sim.ended)
        _call_now(sim, "cancel late", lambda life: (life.engine.requests.cancel(name), "done"))
        return
    if not sim.requests:
        return
    request = sim.rng.choice(sim.requests)
    if request.outcome is not None:
        return
    if sim.rng.random() < 0.5 and request.task is not None:
        sim.note(f"the client of {request.what} vanishes")
        sim.faults.note("client vanished")
        request.task.cancel()
    else:
        sim.faults.note("client cancelled")
        _call_now(sim, "cancel", lambda life: (life.engine.requests.cancel(request.name), "done"))
