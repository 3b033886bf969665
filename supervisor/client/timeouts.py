"""How long a client waits for one answer. Pure: times are monotonic seconds, handed in."""

from ..errors import AcceptTimeout, DisconnectedAfterAccept, DisconnectedBeforeAccept, ResponseTimeout, SupervisorError

MARGIN_S = 5.0
"""On top of the daemon's deadline, so that its own, better error comes first."""

SILENCE_S = 15.0
"""Three missed heartbeats."""

UNTIMED = ("installing", "queued")
"""Stages that the deadline does not count: an installation, and another operation that has to end first."""

FOREVER = float("inf")


class CallTimeout:
    """Two phases: a short wait up to `accepted` or the answer; after it the daemon's deadline, or its silence.

    `deadline_s` counts readiness only, so it begins again with each progress of what comes before. `timeout_s` bounds
    the whole call, whatever the daemon says. `named`: the request has an id that its client chose, so sending it again
    rejoins it.
    """

    def __init__(
        self, now: float, *, accept_timeout_s: float, timeout_s: float | None = None, named: bool = False
    ) -> None:
        self.is_accepted = False
        self._named = named
        self._limit = FOREVER if timeout_s is None else now + timeout_s
        self._wait = now + accept_timeout_s
        self._silence = FOREVER
        self._deadline_s = 0.0

    @property
    def deadline(self) -> float:
        """When to give up, unless something comes before."""
        return min(self._limit, self._wait, self._silence)

    def accepted(self, now: float, deadline_s: float) -> None:
        """The daemon took the request."""
        self.is_accepted = True
        self._deadline_s = deadline_s
        self._wait = now + deadline_s + MARGIN_S
        self._silence = now + SILENCE_S

    def progress(self, now: float, stage: str) -> None:
        """The daemon is at work. Says nothing before `accepted`."""
        if not self.is_accepted:
            return
        self._silence = now + SILENCE_S
        if stage in UNTIMED:
            self._wait = now + self._deadline_s + MARGIN_S

    def timed_out(self, method: str) -> SupervisorError:
        """What to raise at the deadline."""
        if not self.is_accepted:
            return self._repeatable(
                AcceptTimeout(f"the daemon did not answer {method} in time", hint="godot-supervisor logs")
            )
        if self._silence < min(self._limit, self._wait):
            return self._repeatable(ResponseTimeout(f"the daemon has been silent on {method} for {SILENCE_S:g} s"))
        return self._repeatable(
            ResponseTimeout(f"no result of {method} in time", hint="it may still complete: godot-supervisor status")
        )

    def disconnected(self, method: str) -> SupervisorError:
        """What to raise when the connection ends."""
        if self.is_accepted:
            return self._repeatable(
                DisconnectedAfterAccept(f"the daemon went away during {method}", hint="godot-supervisor status")
            )
        return self._repeatable(DisconnectedBeforeAccept(f"the daemon went away before it took {method}"))

    def _repeatable(self, problem: SupervisorError) -> SupervisorError:
        if self._named:
            # A class variable everywhere else in the tree; here it depends on what was sent.
            vars(problem).update(safe_to_retry=True)
        return problem


class StreamTimeout:
    """Listening to a stream: it was accepted with its answer, and may be silent for as long as it likes."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        """When to give up."""

    def timed_out(self, method: str) -> SupervisorError:  # noqa: ARG002 (as `Patience` has it)
        """What to raise at the deadline."""
        return ResponseTimeout("the time to listen is up")

    def disconnected(self, method: str) -> SupervisorError:
        """What to raise when the connection ends."""
        return DisconnectedAfterAccept(f"the daemon went away during {method}", hint="godot-supervisor status")


Wait = CallTimeout | StreamTimeout
