import pytest

from supervisor.core.single_flight import (
    Decision,
    Joined,
    Operation,
    OperationRequest,
    Refused,
    Running,
    Started,
    Waits,
    admit,
)


def request(operation: Operation, version: str | None = None, **ports: int) -> OperationRequest:
    return OperationRequest(operation, "game-1", version, ports)


def running(operation: Operation, version: str | None = None, *, by_daemon: bool = False, **ports: int) -> Running:
    return Running(request(operation, version, **ports), "r-1", 0.0, by_daemon=by_daemon)


ENSURE, STOP, REAP, RECOVER = Operation.ENSURE, Operation.STOP, Operation.REAP, Operation.RECOVER


@pytest.mark.parametrize("operation", list(Operation))
def test_an_idle_server_admits_every_operation(operation: Operation) -> None:
    assert admit(None, request(operation)) == Started()


@pytest.mark.parametrize(
    ("under_way", "asked", "decision"),
    [
        (running(ENSURE), request(ENSURE), Joined()),
        (running(ENSURE, "4.3.0"), request(ENSURE, "4.3.0"), Joined()),
        (running(ENSURE, "4.3.0"), request(ENSURE, "3.2.5"), None),
        (running(ENSURE, http=8001), request(ENSURE, http=8002), None),
        (running(ENSURE), request(STOP), None),
        (running(STOP), request(STOP), Joined()),
        (running(STOP), request(ENSURE), Waits()),
        (running(REAP, by_daemon=True), request(ENSURE), Waits()),
        (running(RECOVER, by_daemon=True), request(ENSURE), Waits()),
        (running(REAP, by_daemon=True), request(STOP), None),
        (running(ENSURE), request(REAP), Waits()),
        (running(STOP), request(REAP), Waits()),
        (running(ENSURE), request(RECOVER), Waits()),
    ],
)
def test_admission(under_way: Running, asked: OperationRequest, decision: Decision | None) -> None:
    assert admit(under_way, asked) == (decision or Refused(under_way))
