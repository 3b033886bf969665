from collections.abc import Iterator

import pytest

from supervisor import errors
from supervisor.cli.exit_codes import EXIT_CODES, exit_code


def every_error(base: type[errors.SupervisorError] = errors.SupervisorError) -> Iterator[type[errors.SupervisorError]]:
    yield base
    for child in base.__subclasses__():
        yield from every_error(child)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StartFailed, 1),
        (errors.Internal, 1),
        (errors.InvalidParams, 2),
        (errors.DaemonNotRunning, 3),
        (errors.NotFound, 4),
        (errors.KindUnknown, 4),
        (errors.NotOurs, 5),
        (errors.TimedOut, 6),
        (errors.AcceptTimeout, 6),
        (errors.ResponseTimeout, 6),
        (errors.ProtocolUnsupported, 7),
        (errors.VersionConflict, 7),
        (errors.Busy, 8),
    ],
)
def test_an_error_has_the_exit_code_of_the_protocol(error: type[errors.SupervisorError], code: int) -> None:
    assert exit_code(error.code) == code


def test_every_code_in_the_table_is_the_code_of_an_error() -> None:
    assert set(EXIT_CODES) <= {error.code for error in every_error()}


def test_an_error_of_a_newer_daemon_is_a_failure() -> None:
    assert exit_code("NOT_INVENTED_YET") == 1
