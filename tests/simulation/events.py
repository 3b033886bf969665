"""Events of the simulated machine and its daemon, which a story may have at any step."""

from supervisor.core.model import ProcessIdentity
from supervisor.daemon.home_ownership import HomeOwnership
from tests.fake_home import FakeHome
from tests.fake_home import FakeSystem as Presences
from tests.simulation.driver import Simulation
from tests.simulation.life import Life
from tests.simulation.world import EDITOR, FOREIGN, OTHER, OURS, TOKEN, Manners


def _any(sim: Simulation, *whats: str) -> ProcessIdentity | None:
    found = [i for i, truth in sim.world.lineage.items() if truth.what in whats and sim.world.lives(i)]
    return sim.rng.choice(found) if found else None


def process_dies(sim: Simulation) -> None:
    """Kill a server, a part of it, an editor, or an unrelated process."""
    target = _any(sim, *sim.rng.choice(((OURS,), (OURS,), (EDITOR,), (FOREIGN, OTHER))))
    if target is not None:
        sim.note(f"pid {target.pid} dies ({sim.world.lineage[target].what})")
        sim.faults.note("process died")
        sim.world.end(target, -11, zombie=sim.rng.random() < 0.1)


def pid_recycled(sim: Simulation) -> None:
    """Give a dead process's pid to another process before its end is noticed."""
    target = _any(sim, *sim.rng.choice(((OURS,), (EDITOR,), (FOREIGN,))))
    if target is not None:
        sim.note(f"pid {target.pid} is recycled ({sim.world.lineage[target].what})")
        sim.faults.note("pid recycled")
        sim.world.end(target, -9)
        what = sim.rng.choice((OTHER, EDITOR))
        new = sim.world.start(*(("godot",) if what == EDITOR else ("bystander",)), pid=target.pid)
        sim.world.lineage[new] = type(sim.world.lineage[new])(what, new)
        if what == EDITOR:
            sim.editors[new] = None


def sessions(sim: Simulation) -> None:
    """Open sessions of editors on a server's port, or close them."""
    ports = [port for _, port, _ in sim.world.listeners if 9500 <= port < 9700]
    if ports:
        port = sim.rng.choice(ports)
        sim.world.open_sessions(port, 0 if sim.world.connections.get(port) else sim.rng.choice((1, 2)))


def foreign_server(sim: Simulation) -> None:
    """Let a plugin that does not use the daemon start a server of its own.

    The server's environment names a living editor, or no owner, or the launch token of another home.
    """
    if len(sim.world.processes) > 40:
        return
    kind, base = sim.rng.choice((("toy", 0), ("toy", 0), ("solo", 100)))
    number = sim.rng.randrange(5)
    ports = {"http": 8000 + base + number, "sessions": 9500 + base + number}
    owner = sim.rng.choice((*sim.living_editors(), sim.new_editor()))
    roll = sim.rng.random()
    environment = {"TOY_OWNER": str(owner.pid)} if roll < 0.85 else {}
    if roll > 0.93:
        environment[TOKEN] = f"elsewhere.{kind}.abc"
    version = sim.rng.choice(("1.0", "2.0"))
    words = (kind, version, *(str(port) for port in ports.values()))
    sim.note(f"a foreign {kind} {version} on {number} for pid {owner.pid}")
    sim.faults.note("foreign server")
    sim.world.clock.now += 0.001
    server = sim.world.begin(FOREIGN, *words, environment=environment)
    sim.world.owner_of[server] = owner if roll < 0.93 else None
    sim.world.serve(server, Manners(kind, version, ports), 0.05)


def thief(sim: Simulation) -> None:
    """Let an unrelated process take a port."""
    port = sim.rng.choice((8000, 8001, 8003, 8100, 9500, 9501, 9600))
    if sim.world.listener_on(port) is None:
        sim.note(f"port {port} is stolen")
        sim.faults.note("port stolen")
        identity = sim.world.begin(OTHER, "bystander")
        sim.world.listen(identity, port)
        sim.world.plan(sim.rng.choice((1.0, 30.0, 120.0)), lambda: sim.world.end(identity))


def server_falls_silent(sim: Simulation) -> None:
    """Let a server be too busy to answer, or answer slowly."""
    found = [manners for identity, manners in sim.world.manners.items() if sim.world.lives(identity)]
    if found:
        manners = sim.rng.choice(found)
        if sim.rng.random() < 0.5:
            sim.faults.note("identification silent")
            manners.silent_until = sim.world.clock.now + sim.rng.choice((3.0, 20.0, 90.0))
        else:
            sim.faults.note("identification slow")
            manners.slow_s = sim.rng.choice((0.0, 0.9, 1.9))


def clock_gap(sim: Simulation) -> None:
    """Let the clock jump forward, as when the machine or the daemon was suspended."""
    before = sim.world.clock.now
    gap_s = sim.rng.choice((6.0, 30.0, 3600.0))
    sim.note(f"a gap of {gap_s:g} s")
    sim.faults.note("clock gap")
    sim.world.clock.now += gap_s
    sim.ledger.note_gap(before)


def wall_clock(sim: Simulation) -> None:
    """Set the wall clock."""
    sim.faults.note("wall clock set")
    sim.world.clock.epoch += sim.rng.choice((-3600.0, 3600.0))
    sim.ledger.clock_was_set = True


def disk(sim: Simulation) -> None:
    """Fill the disk, or make room on it again."""
    sim.disk.full = not sim.disk.full and not sim.faults.quiet
    if sim.disk.full:
        sim.note("the disk is full")
        sim.faults.note("disk full")
        sim.world.plan(sim.rng.choice((0.5, 10.0)), lambda: setattr(sim.disk, "full", False))


def environment_breaks(sim: Simulation) -> None:
    """Break a private environment, as when files are removed or its Python is upgraded."""
    if not sim.faults.quiet and sim.world.installed.damage():
        sim.note("an environment breaks")
        sim.faults.note("environment broken")


def event_source(sim: Simulation) -> None:
    """Let the kernel accept no new exit watch for a while, as without descriptors."""
    if not sim.faults.quiet and sim.world.exit_events_stopped_at is None:
        sim.note("no descriptor for an exit")
        sim.faults.note("event source lost")
        sim.world.exit_events_stopped_at = sim.world.clock.now
        sim.world.plan(sim.rng.choice((2.0, 40.0)), sim.world.restore_exit_events)


def daemon_killed(sim: Simulation) -> None:
    """Kill the daemon from outside, between two steps."""
    if sim.life is not None:
        sim.faults.note("daemon killed")
        sim.kill_daemon("from outside")


def reboot(sim: Simulation) -> None:
    """Reboot the machine after a power loss, which may have torn the registry."""
    sim.note("reboot")
    sim.faults.note("reboot")
    sim.kill_daemon("reboot")
    sim.world.reboot()
    sim.editors.clear()
    if sim.disk.data and sim.rng.random() < 0.5:
        sim.faults.note("write torn")
        sim.disk.data = sim.disk.data[: sim.rng.randrange(len(sim.disk.data))]
    sim.ledger.forget_everything()
    sim.world.plan(1.0, sim._start_again)


def registry_lost(sim: Simulation) -> None:
    """Delete the registry, or fill it with garbage, while no daemon runs."""
    if sim.life is not None and sim.rng.random() < 0.7:
        return
    sim.kill_daemon("its registry is lost")
    sim.faults.note("registry lost")
    sim.disk.data = sim.rng.choice((None, b"", b"garbage", b'{"schema":99}'))
    sim.ledger.forget_everything()
    for identity, truth in sim.world.lineage.items():
        if truth.what == OURS and sim.world.lives(identity):
            sim.checks.excused.add(identity)


def home_vanished(sim: Simulation) -> None:
    """Remove or replace the home under the daemon, and let another daemon try to start."""
    life = sim.life
    if life is None or not life.ready:
        return
    sim.note("the home's lock has gone")
    sim.faults.note("home vanished")
    sim.world.folder.replace_lock()
    newcomer = HomeOwnership(FakeHome(sim.world.folder, sim.world.machine))
    sim.expect(not newcomer.take(), "never two daemons that both act: a second one has started")


def home_taken(sim: Simulation) -> None:
    """Let another daemon take the home, one that knows no presence: in a container, or of an earlier release."""
    life = sim.life
    if life is None or not life.ready:
        return
    other = HomeOwnership(FakeHome(sim.world.folder, Presences()))
    sim.world.folder.replace_lock()
    sim.expect(other.take(), "the replaced lock is free")
    sim.note("another daemon has the home")
    sim.faults.note("home taken")
    sim.world.plan(sim.rng.choice((1.0, 10.0, 40.0)), other.release)


def shutdown(sim: Simulation) -> None:
    """Stop the daemon, with or without its servers."""
    life = sim.life
    if life is None or not life.ready:
        return
    servers = sim.rng.random() < 0.3
    sim.note(f"shutdown, servers: {servers}")
    if servers:
        for record in life.records.servers.values():
            sim.ledger.note_stop_request(record)
    with life.loop.running():
        closing = life.loop.create_task(_close(life, servers=servers))
    for _ in range(200):
        if closing.done() or sim.life is not life:
            break
        sim.run(1.0)
    if sim.life is not life:
        return
    sim.expect(closing.done(), "every operation ends: the shutdown has not")
    sim.run(0.0, turns=5)
    if sim.life is life:
        left = [request for request in sim.requests if request.outcome is None and request.accepted]
        sim.expect(not left, f"every request ends when the daemon goes: {left}")
        sim.kill_daemon("shutdown")


async def _close(life: Life, *, servers: bool) -> None:
    await life.supervisor.close(servers=servers)
