import pytest

from supervisor.core.single_flight import (
    Admission,
    Joined,
    Operation,
    OperationRequest,
    Refused,
    Running,
    Started,
    Waits,
    admit,
)


def wish(operation: Operation, version: str | None = None, **ports: int) -> OperationRequest:
    return OperationRequest(operation, "game-1", version, ports)


def running(operation: Operation, version: str | None = None, *, own: bool = False, **ports: int) -> Running:
    return Running(wish(operation, version, **ports), "r-1", 0.0, own=own)


ENSURE, STOP, REAP, RECOVER = Operation.ENSURE, Operation.STOP, Operation.REAP, Operation.RECOVER


@pytest.mark.parametrize("operation", list(Operation))
def test_a_free_door_lets_everything_through(operation: Operation) -> None:
    assert admit(None, wish(operation)) == Started()


@pytest.mark.parametrize(
    ("under_way", "asked", "admission"),
    [
        (running(ENSURE), wish(ENSURE), Joined()),
        (running(ENSURE, "4.3.0"), wish(ENSURE, "4.3.0"), Joined()),
        (running(ENSURE, "4.3.0"), wish(ENSURE, "3.2.5"), None),
        (running(ENSURE, http=8001), wish(ENSURE, http=8002), None),
        (running(ENSURE), wish(STOP), None),
        (running(STOP), wish(STOP), Joined()),
        (running(STOP), wish(ENSURE), Waits()),
        (running(REAP, own=True), wish(ENSURE), Waits()),
        (running(RECOVER, own=True), wish(ENSURE), Waits()),
        (running(REAP, own=True), wish(STOP), None),
        (running(ENSURE), wish(REAP), Waits()),
        (running(STOP), wish(REAP), Waits()),
        (running(ENSURE), wish(RECOVER), Waits()),
    ],
)
def test_admission(under_way: Running, asked: OperationRequest, admission: Admission | None) -> None:
    assert admit(under_way, asked) == (admission or Refused(under_way))
