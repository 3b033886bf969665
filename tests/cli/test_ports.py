"""`ports` against a daemon that answers from a script."""

from supervisor.cli.server_commands import ports
from supervisor.errors import KindUnknown
from supervisor.kinds.catalog import Catalog
from tests.cli.conftest import Run
from tests.cli.scripted import Script
from tests.protocol import check_document

BUILT_IN = Catalog.build({}).names()

PORTS = [
    {
        "port": 8000,
        "occupant": {"pid": 5, "command": ["nc"], "user": "me"},
        "decision": "relocate",
        "reason": "foreign",
    },
    {"port": 9500, "occupant": None, "decision": "spawn", "reason": "free"},
]


def test_ports_shows_the_occupants(run: Run, daemon: Script) -> None:
    daemon.answers["ports.explain"] = {"ports": PORTS}
    assert run("ports", "godot-ai").out.splitlines() == [
        "PORT  OCCUPANT          DECISION  REASON",
        "8000  pid 5 (nc) of me  relocate  foreign",
        "9500  -                 spawn     free",
    ]
    assert daemon.params("ports.explain") == {"kind": "godot-ai"}


def test_a_long_reason_gets_lines_of_its_own() -> None:
    reason = "it is held by a server whose version is another one, and which an editor uses"
    runs = [("8000", "pid 733 (python3 -m http.server 8000) of me", "relocate", reason), ("8001-8019", "-", "use", "")]
    narrow = [*ports.lines(runs, (80, 24))]
    assert narrow[0].split() == ["PORT", "OCCUPANT", "DECISION"]
    assert " ".join(" ".join(narrow[2:-1]).split()) == reason
    assert max(map(len, narrow)) <= 80
    assert [*ports.lines(runs, None)] == [*ports.lines(runs, (400, 24))]
    assert reason in [*ports.lines(runs, None)][1]


def test_neighbouring_ports_with_equal_facts_share_a_row(run: Run, daemon: Script) -> None:
    free = {"occupant": None, "decision": "use", "reason": "it is free"}
    daemon.answers["ports.explain"] = {"ports": [{"port": port, **free} for port in (8000, 8001, 8002, 9500)]}
    assert [line.split()[0] for line in run("ports", "godot-ai").out.splitlines()] == ["PORT", "8000-8002", "9500"]


def test_ports_shows_the_version_for_a_project(run: Run, daemon: Script) -> None:
    (daemon.home / "project.godot").touch()
    why = {"version": "4.3.1", "version_why": "addons/x.cfg has it", "notes": ["its plugin looks on http 8000 only"]}
    daemon.answers["ports.explain"] = {"ports": PORTS, **why}
    shown = run("ports", "godot-ai", "--project", str(daemon.home)).out.splitlines()
    assert (shown[0], shown[-1]) == (
        "godot-ai 4.3.1: addons/x.cfg has it",
        "godot-ai: its plugin looks on http 8000 only",
    )
    assert daemon.params("ports.explain") == {"kind": "godot-ai", "project": str(daemon.home.resolve())}
    document = run("ports", "godot-ai", "--json").document
    assert document == {"ports": PORTS, "versions": [{"kind": "godot-ai", **why}]}
    check_document("ports", {**document, "ports": []})


def test_ports_without_a_kind_shows_every_kind(run: Run, daemon: Script) -> None:
    text = '[kinds.mine]\ncommand = ["x", "{http}"]\nports = { http = "7000-7001" }\n'
    (daemon.home / "config.toml").write_text(text)
    daemon.answers["ports.explain"] = {"ports": PORTS}
    assert run("ports", "--json").document == {"ports": PORTS}
    asked = [params["kind"] for method, params in daemon.calls if method == "ports.explain"]
    assert asked == sorted(["mine", *BUILT_IN])


def test_ports_skips_a_kind_that_the_daemon_does_not_know(run: Run, daemon: Script) -> None:
    (daemon.home / "config.toml").write_text('[kinds.fresh]\ncommand = ["x"]\n')
    row = {"port": 8000, "occupant": None, "decision": "use", "reason": "it is free"}
    daemon.answers["ports.explain"] = lambda params: (
        KindUnknown("no kind") if params["kind"] == "fresh" else {"ports": [row]}
    )
    outcome = run("ports")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].startswith("8000")
    assert outcome.err.startswith("fresh: the daemon has not read this kind yet")
    assert run("ports", "fresh").code == 4
