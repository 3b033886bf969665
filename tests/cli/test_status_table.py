from supervisor.cli.text.status_table import lines as status_lines
from tests.cli.objects import CLAUDE, client, editor, owner, past, server, status, tool_call


def lines(now: float = 12520.0, **fields: object) -> list[str]:
    return list(status_lines(status(**fields), now=now))


def test_without_editors_and_servers() -> None:
    assert [line.replace("\x1b[32m", "").replace("\x1b[0m", "") for line in lines()] == [
        "daemon  running  pid 4211  up 3h12m  version 0.1.0",
        "no editors, no servers",
    ]


def rows(**fields: object) -> list[list[str]]:
    table = [line for line in lines(**fields) if not line.startswith("daemon")]
    return [line.replace("\x1b[32m", "").replace("\x1b[0m", "").split() for line in table]


def test_each_editor_on_a_server_has_a_row() -> None:
    found = rows(
        editors=[editor(), editor("tools-2", project="/home/me/tools", engine_version="4.5.1")],
        servers=[server(owners=[owner(), owner("tools-2")], sessions=2)],
    )
    assert found == [
        ["OWNER", "PROJECT", "ENGINE", "SERVER", "STATE", "PORT", "SESSIONS", "NOTE"],
        ["game-1", "game", "4.6.2", "godot-ai", "4.3.1", "ready", "8000,9500", "2", "shared"],
        ["tools-2", "tools", "4.5.1", "godot-ai", "4.3.1", "ready", "8000,9500", "2", "shared"],
    ]


def test_servers_and_editors_on_their_own_have_a_row() -> None:
    found = rows(editors=[editor()], servers=[server(origin="external", project="/x/other")])
    assert found[1:] == [
        ["-", "other", "-", "godot-ai", "4.3.1", "ready", "8000,9500", "0", "external"],
        ["game-1", "game", "4.6.2", "-", "-", "-", "-", "-"],
    ]


def test_an_unknown_number_of_sessions_is_not_zero() -> None:
    assert rows(servers=[server(sessions=None)])[1] == [
        "-",
        "-",
        "-",
        "godot-ai",
        "4.3.1",
        "ready",
        "8000,9500",
        "-",
        "-",
    ]


def test_an_owner_that_is_leaving_or_dead_is_marked() -> None:
    found = rows(servers=[server(owners=[owner(leaving=True), owner("b", liveness="dead")])])
    assert [row[-2:] for row in found[1:]] == [["shared,", "leaving"], ["shared,", "dead"]]


def test_an_orphan_is_listed_with_its_reasons() -> None:
    verdict = {"verdict": "suspect", "reasons": ["owner 3901 gone"], "due_in_s": 4.04}
    found = lines(servers=[server(reap=verdict)], orphans=["godot-ai"])
    assert found[-2:] == ["orphans: 1", "  godot-ai: owner 3901 gone; checked again in 4 s"]


def test_a_relocated_port_names_its_occupant() -> None:
    held = {"port": 8000, "occupant": {"pid": 512, "command": ["nc", "-l"], "user": "me"}, "reason": "foreign"}
    excluded = {"port": 8001, "occupant": None, "reason": "excluded by Windows"}
    assert lines(servers=[server(relocated=[held, excluded])])[-2:] == [
        "godot-ai: port 8000 was passed over: held by pid 512 (nc -l) of me",
        "godot-ai: port 8001 was passed over: excluded by Windows",
    ]


def test_a_failure_is_shown() -> None:
    failure = {"code": "START_FAILED", "message": "no\nanswer", "exit": 1, "log_tail": []}
    assert lines(servers=[server(state="failed", failure=failure)])[-2:] == [
        "godot-ai: START_FAILED: no?answer, exit status 1",
        "  try: godot-supervisor logs godot-ai, then: godot-supervisor up godot-ai",
    ]


def test_a_crash_loop_shows_the_last_line_and_what_to_try() -> None:
    message = "crashed 5 times in 12 s, exit 7; gave up"
    failure = {"code": "START_FAILED", "message": message, "exit": 7, "log_tail": ["first", "no disk"]}
    assert lines(servers=[server(state="failed", project="/p/my game", failure=failure)])[-3:] == [
        f"godot-ai: {message}",
        "  last line: no disk",
        "  try: godot-supervisor logs godot-ai, then: godot-supervisor up godot-ai --project '/p/my game'",
    ]


def test_the_signal_that_ended_a_server_is_named() -> None:
    now = 1000.0
    rows = [past(how="exited", exit=-15), past("b", how="restarted", by="my-game-1", exit=-15)]
    assert [line.rstrip() for line in lines(now, ended=rows)[-3:]] == [
        "SERVER          RAN FOR  ENDED    HOW",
        "godot-ai 4.3.1  1m40s    10s ago  it ended by itself, killed (SIGTERM)",
        "b 4.3.1         1m40s    10s ago  stopped for a restart by my-game-1",
    ]


def test_a_failed_server_that_was_taken_down_tells_why() -> None:
    rows = [past(how="stopped", by="a script", exit=7, detail="crashed 5 times in 9 s, exit 7; gave up")]
    assert "crashed 5 times in 9 s, exit 7; gave up; taken down by a script" in lines(1000.0, ended=rows)[-1]


def test_an_empty_history_is_reported() -> None:
    assert lines(ended=[])[-1] == "no ended servers on record"


def test_the_notes_of_the_daemon_are_shown() -> None:
    answer = status()
    answer["daemon"]["notes"] = ["polling for exits"]
    assert list(status_lines(answer, now=1000.0))[-1] == "note: polling for exits"


def test_a_version_chosen_by_an_addon_is_shown() -> None:
    by_addon = server(version_source="addon", version_why="addons/x.cfg in /p has it", notes=["a note"])
    by_recipe = server(id="other", version_source="recipe", version_why="the recipe has it")
    found = list(status_lines(status(servers=[by_addon, by_recipe]), now=1000.0))
    assert found[-2:] == ["godot-ai: version 4.3.1: addons/x.cfg in /p has it", "godot-ai: a note"]


def test_ai_clients_have_a_table_of_their_own() -> None:
    found = rows(
        editors=[editor()],
        servers=[server(owners=[owner(), owner("claude-code-1", 321, client=CLAUDE)])],
        clients=[
            client(servers=["godot-ai"]),
            client("codex-1", pid=322, name="codex", version="", since=None, calls=0),
        ],
    )
    assert found == [
        ["OWNER", "PROJECT", "ENGINE", "SERVER", "STATE", "PORT", "SESSIONS", "NOTE"],
        ["game-1", "game", "4.6.2", "godot-ai", "4.3.1", "ready", "8000,9500", "0", "1", "AI", "client"],
        ["CLIENT", "PID", "PROJECT", "SERVER", "SINCE", "CALLS", "RUNNING", "NOTE"],
        ["claude-code", "2.1.0", "321", "game", "godot-ai", "4.3.1", "3h12m", "7", "-", "-"],
        ["codex", "322", "game", "-", "-", "0", "-", "-"],
    ]


def test_a_server_that_only_ai_clients_own_has_a_row() -> None:
    owners = [owner(f"claude-code-{number}", number, client=CLAUDE) for number in (1, 2)]
    assert rows(servers=[server(owners=owners)])[1] == [
        "-", "-", "-", "godot-ai", "4.3.1", "ready", "8000,9500", "0", "2", "AI", "clients",
    ]  # fmt: skip


def test_running_and_waiting_calls_are_shown_with_their_time() -> None:
    running = [tool_call(), tool_call("scene_open", state="waiting", since=12519.0)]
    shown = lines(clients=[client(running=running, running_more=3, connected=False)])
    assert "scene_create 20s, scene_open waits 1s, 3 more" in shown[-1]
    assert shown[-1].endswith("not connected")


def test_a_client_that_is_dead_or_leaving_is_marked() -> None:
    servers = [server(owners=[owner("claude-code-1", client=CLAUDE, leaving=True)])]
    shown = lines(servers=servers, clients=[client(servers=["godot-ai"], liveness="dead", connected=False)])
    assert shown[-1].endswith("dead, leaving")


def test_names_of_clients_and_tools_cannot_move_the_cursor() -> None:
    shown = lines(clients=[client(name="a\x1b[2Jb", running=[tool_call("x\ny")])])
    assert "a?[2Jb" in shown[-1]
    assert "x?y 20s" in shown[-1]
