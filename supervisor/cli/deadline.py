"""`--timeout`: one time for all that a command does. Queries pay for it, so it knows no click."""

import time

from ..errors import ResponseTimeout


class Deadline:
    """When a command gives up. Without `--timeout` each of its steps has a bound of its own, or none."""

    def __init__(self, timeout_s: float | None = None) -> None:
        """`timeout_s`: from now on, seconds; None: the user has set none."""
        self.timeout_s = timeout_s
        self._until = None if timeout_s is None else time.monotonic() + timeout_s

    @property
    def passed(self) -> bool:
        """Whether it has come."""
        return self._until is not None and time.monotonic() >= self._until

    def left(self) -> float | None:
        """Seconds; None: no end.

        Raises:
            ResponseTimeout: none are left.
        """
        if self._until is None:
            return None
        left = self._until - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def or_else(self, usual_s: float) -> float:
        """What is left, or what a step may usually take.

        Raises:
            ResponseTimeout: nothing is left.
        """
        left = self.left()
        return usual_s if left is None else left

    def error(self) -> ResponseTimeout:
        """What to raise when it has come."""
        return ResponseTimeout(f"not done within {self.timeout_s:g} s", hint="a longer --timeout")
