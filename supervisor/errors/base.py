"""The base of all errors. An error carries its wire code, whose fault it is, and what the caller can do next."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self


class Fault(StrEnum):
    """The party that has to change something before the same call can succeed."""

    CALLER = "caller"
    ENVIRONMENT = "environment"
    SERVER = "server"
    DAEMON = "daemon"


QUOTED_MAX = 100


def quoted(value: object) -> str:
    """Return a value as an error quotes it: on one line, at most `QUOTED_MAX` characters."""
    text = repr(value)
    return text if len(text) <= QUOTED_MAX else f"{text[: QUOTED_MAX - 3]}..."


def allowed_names(wrong: str, allowed: Iterable[str]) -> str:
    """Return the hint for a name that is not allowed: the nearest allowed name first, then all of them."""
    # Imported here, so that only calls with a mistyped name pay for it.
    import difflib

    names = list(allowed)
    near = difflib.get_close_matches(wrong, names, n=1) if len(wrong) <= QUOTED_MAX else []
    return "".join(f"did you mean {name}? " for name in near) + "allowed: " + ", ".join(names)


class SupervisorError(Exception):
    """The base of every error that may reach a user or the wire.

    `retryable`: the same call may succeed later. `safe_to_retry`: a second call cannot do anything twice. `data` holds
    further JSON-ready fields and never a secret.
    """

    code: ClassVar[str] = "INTERNAL"
    fault: ClassVar[Fault] = Fault.DAEMON
    retryable: ClassVar[bool] = False
    safe_to_retry: ClassVar[bool] = True
    rpc_code: ClassVar[int] = -32000

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry_after_ms: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after_ms = retry_after_ms
        self.data = dict(data or {})

    def __copy__(self) -> Self:
        """Return the same error without its traceback, because a traceback keeps every frame alive that it passed."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON-RPC error object."""
        return {
            "code": self.rpc_code,
            "message": self.message,
            "data": {
                **self.data,
                "code": self.code,
                "fault": self.fault.value,
                "retryable": self.retryable,
                "safe_to_retry": self.safe_to_retry,
                "retry_after_ms": self.retry_after_ms,
                "hint": self.hint,
            },
        }
