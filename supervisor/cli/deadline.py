"""`--timeout`: one time limit for everything that a command does. Queries load this module, so it uses no click."""

import time

from ..errors import ResponseTimeout


class Deadline:
    """The time at which a command gives up. Without `--timeout` each step has a limit of its own, or none."""

    def __init__(self, timeout_s: float | None = None) -> None:
        """Set the limit to `timeout_s` seconds from now; None if the user set none."""
        self.timeout_s = timeout_s
        self._until = None if timeout_s is None else time.monotonic() + timeout_s

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._until is not None and time.monotonic() >= self._until

    def left(self) -> float | None:
        """Return the seconds that are left. Returns None if there is no limit.

        Raises:
            ResponseTimeout: the time is over.
        """
        if self._until is None:
            return None
        left = self._until - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def left_or(self, default_s: float) -> float:
        """Return the seconds that are left. Returns `default_s` if there is no limit.

        Raises:
            ResponseTimeout: the time is over.
        """
        left = self.left()
        return default_s if left is None else left

    def error(self) -> ResponseTimeout:
        """Return the error to raise when the time is over."""
        return ResponseTimeout(f"the command did not end within {self.timeout_s:g} s", hint="use a longer --timeout")
