"""The faults that the platform may inject: their rates, and how often they came. One seed decides."""

import errno
from collections import Counter
from random import Random

RATES = {
    "daemon killed in a call": 0.0015,
    "daemon killed between turns": 0.0006,
    "write refused": 0.02,
    "spawn refused": 0.05,
    "table refused": 0.004,
    "ports refused": 0.004,
    "probe denied": 0.02,
    "signal refused": 0.04,
    "variable hidden": 0.01,
    "sessions hidden": 0.03,
    "sessions wrong once": 0.01,
    "answer wrong once": 0.02,
    "log folder refused": 0.02,
    "event lost": 0.01,
    "event late": 0.1,
    "event without a cause": 0.002,
    "thread slow": 0.1,
    "install refused": 0.05,
    "environment breaks again": 0.2,
    "program": 0.5,
}
"""The probability of each fault, each time that it could come."""


class InjectedError(OSError):
    """The system refuses a call. An operation that fails because of it shows no defect of the engine."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EIO, what)


class ViolationError(AssertionError):
    """A promise was broken."""


class Faults:
    """Decides at each chance whether a fault comes.

    Each seed has rates of its own: one story may lack a fault that another one has often.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.rates = {name: rate * rng.choice((0.0, 0.5, 1.0, 1.0, 3.0)) for name, rate in RATES.items()}
        self.came: Counter[str] = Counter()
        self.quiet = False
        self.last = 0
        self.violation: ViolationError | None = None
        """The first promise that a stand-in saw broken. The engine may catch the error that the stand-in raises."""

    def violated(self, promise: str) -> ViolationError:
        """Note a broken promise, and return the error to raise."""
        self.violation = self.violation or ViolationError(promise)
        return self.violation

    def hit(self, name: str) -> bool:
        """Return whether this fault comes now, and count it."""
        if self.quiet or self._rng.random() >= self.rates[name]:
            return False
        self.note(name)
        return True

    def roll(self, name: str) -> float | None:
        """Return a number between 0 and 1 that says how the fault comes; None if it does not come."""
        return self._rng.random() if self.hit(name) else None

    def note(self, name: str) -> None:
        """Count a fault that was injected."""
        self.came[name] += 1
        self.last += 1

    def maybe_refuse(self, name: str) -> None:
        """Raise `InjectedError` if this fault comes now."""
        if self.hit(name):
            raise InjectedError(name)
