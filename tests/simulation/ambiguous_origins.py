"""Events after which the origin of a process is hard to tell.

Servers launch editors, which inherit the launch token; shells launch servers; another home of the user adopts servers.
"""

from supervisor.core.model import ProcessIdentity
from tests.simulation.driver import Simulation
from tests.simulation.world import EDITOR, FOREIGN, OTHER, OURS, Lineage, Manners

CROWDED = 40
"""With so many processes, no action starts another one."""


def _serve(sim: Simulation, parent: ProcessIdentity, owner: ProcessIdentity, environment: dict[str, str]) -> None:
    """Start a foreign toy server, in a session of its own."""
    number = sim.rng.randrange(5)
    ports = {"http": 8000 + number, "sessions": 9500 + number}
    words = ("toy", "1.0", *(str(port) for port in ports.values()))
    sim.world.clock.now += 0.001
    server = sim.world.start(*words, parent=parent.pid, environment=environment)
    sim.world.lineage[server] = Lineage(FOREIGN, server)
    sim.world.owner_of[server] = owner
    sim.world.serve(server, Manners("toy", "1.0", ports), 0.05)


def launched_editor(sim: Simulation) -> None:
    """Let a server of ours start an editor, which inherits the launch token, and may start a server by itself."""
    living = [each for each, truth in sim.world.lineage.items() if truth == Lineage(OURS, each)]
    living = [each for each in living if sim.world.lives(each)]
    if not living or len(sim.world.processes) > CROWDED:
        return
    server = sim.rng.choice(living)
    sim.world.clock.now += 0.001
    inherited = dict(sim.world.processes[server.pid].environment)
    session = None if sim.rng.random() < 0.5 else sim.world.processes[server.pid].session
    editor = sim.world.start("godot", "--editor", parent=server.pid, session=session, environment=inherited)
    sim.world.lineage[editor] = Lineage(EDITOR, editor)
    sim.note(f"pid {server.pid} launches the editor {editor.pid}")
    sim.faults.note("editor launched by a server")
    if sim.rng.random() < 0.5:
        _serve(sim, editor, editor, inherited)


def under_a_shell(sim: Simulation) -> None:
    """Start a server in a shell that reads no settings."""
    if len(sim.world.processes) > CROWDED:
        return
    shell = sim.world.begin(OTHER, "bash", "-norc")
    sim.faults.note("server under a shell")
    owner = sim.rng.choice((*sim.living_editors(), sim.new_editor()))
    _serve(sim, shell, owner, {"TOY_OWNER": str(owner.pid)})


def second_home(sim: Simulation) -> None:
    """Let another home of the user adopt a foreign server, and end it when it is not needed any more."""
    found = [each for each, truth in sim.world.lineage.items() if truth == Lineage(FOREIGN, each)]
    found = [each for each in found if sim.world.lives(each)]
    if found:
        server = sim.rng.choice(found)
        homes = sim.world.marks.setdefault(server, set())
        if "second" in homes and sim.rng.random() < 0.3:
            sim.world.end(server, -15)
        homes.add("second")
        sim.faults.note("adopted by a second home")
