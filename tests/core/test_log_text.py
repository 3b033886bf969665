import pytest

from supervisor.core.log_text import GAP, excerpt, names_taken, taken_ports

PORTS = (8001, 9501)

FRAMES = [f'  File "frame.py", line {number}' for number in range(60)]


@pytest.mark.parametrize(
    "line",
    [
        "OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', 9501): address already in use",
        "OSError: [Errno 48] Address already in use: 127.0.0.1:9501",
        "OSError: [WinError 10048] Only one usage of each socket address (127.0.0.1, 9501) is normally permitted",
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:9501",
        "listen tcp 127.0.0.1:9501: bind: address already in use",
        "listen tcp :9501: bind: An attempt was made to access a socket in a way forbidden by its access permissions.",
        'Os { code: 98, kind: AddrInUse, message: "Address in use" } port=9501',
        "Port 9501 is already in use",
        "RuntimeError: WebSocket port 9501 is occupied by another process",
        "port 9501 is not available, giving up",
    ],
)
def test_log_names_the_port_that_was_taken(line: str) -> None:
    assert taken_ports(["starting", line, *FRAMES], PORTS) == {9501}


@pytest.mark.parametrize("line", ["Address already in use", "error: [Errno 98]", "os error 10048", "EADDRINUSE"])
def test_log_that_names_no_port_means_all(line: str) -> None:
    assert taken_ports([line], PORTS) == set(PORTS)


@pytest.mark.parametrize(
    "line",
    [
        "OSError: [Errno 98] Address already in use: ('127.0.0.1', 5678)",
        "Error: listen EADDRINUSE: address already in use :::5678",
        "Port 5678 is already in use",
        "listening on port 9501",
        "error code 98765 on 9501",
        "ModuleNotFoundError: No module named 'x'",
    ],
)
def test_log_of_another_failure_takes_no_port(line: str) -> None:
    assert taken_ports([line], PORTS) == set()


def test_excerpt_shows_the_cause_that_stands_before_the_last_lines() -> None:
    lines = ["starting", "loading", "ERROR: port 9501 already in use", *FRAMES]
    shown = excerpt(lines, 20)
    assert shown[:2] == ("ERROR: port 9501 already in use", GAP)
    assert shown[2:] == tuple(FRAMES[-18:])


def test_excerpt_shows_the_last_exception_before_a_long_farewell() -> None:
    farewell = [f"closing {number}" for number in range(40)]
    shown = excerpt(["cannot bind", *FRAMES, "RuntimeError: giving up", *farewell], 20)
    assert shown[:4] == ("cannot bind", GAP, "RuntimeError: giving up", GAP)
    assert len(shown) == 20


def test_excerpt_of_a_short_log_is_the_log() -> None:
    assert excerpt(["error: one", "two"], 20) == ("error: one", "two")


def test_excerpt_of_a_log_without_errors_is_its_end() -> None:
    lines = ["Traceback (most recent call last):", "0 errors", *FRAMES]
    assert excerpt(lines, 20) == tuple(FRAMES[-20:])


def test_a_general_error_in_the_log_names_no_port() -> None:
    lines = ["OSError: [Errno 98] Address already in use"]
    assert taken_ports(lines, [8000]) == {8000}
    assert not names_taken(lines, 8000)
    assert names_taken(["bind 127.0.0.1:8000: address already in use"], 8000)
