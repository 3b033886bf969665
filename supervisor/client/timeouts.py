"""Limits on how long a client waits for one answer. Pure: times are monotonic seconds, handed in."""

from ..errors import AcceptTimeout, DisconnectedAfterAccept, DisconnectedBeforeAccept, ResponseTimeout, SupervisorError

MARGIN_S = 5.0
"""Added to the daemon's deadline, so that the daemon's own, better error arrives first."""

SILENCE_S = 15.0
"""How long the daemon may send nothing about an accepted call: three missed heartbeats."""

UNTIMED_STAGES = ("installing", "queued")
"""Stages that the daemon's deadline does not count: an installation, and another operation that has to end first."""

FOREVER = float("inf")


class CallTimeout:
    """The limits of one call, in two phases: a short wait for `accepted` or the answer, then the daemon's deadline.

    In the second phase the daemon's silence ends the wait as well. The daemon's deadline does not count installations
    and queues, so it begins again with each progress of such a stage. `timeout_s` limits the whole call, whatever the
    daemon says. `has_request_id`: the client chose an id for the request, so sending it again rejoins the operation.
    """

    def __init__(
        self, now: float, *, accept_timeout_s: float, timeout_s: float | None = None, has_request_id: bool = False
    ) -> None:
        """Begin the call. `now` is monotonic, seconds."""
        self.is_accepted = False
        self._has_request_id = has_request_id
        self._call_ends_at = FOREVER if timeout_s is None else now + timeout_s
        self._answer_due_at = now + accept_timeout_s
        self._message_due_at = FOREVER
        self._deadline_s = 0.0

    @property
    def deadline(self) -> float:
        """When to give up, unless a message comes before. Monotonic, seconds."""
        return min(self._call_ends_at, self._answer_due_at, self._message_due_at)

    def note_accepted(self, now: float, deadline_s: float) -> None:
        """Note that the daemon accepted the request, and its deadline."""
        self.is_accepted = True
        self._deadline_s = deadline_s
        self._answer_due_at = now + deadline_s + MARGIN_S
        self._message_due_at = now + SILENCE_S

    def note_progress(self, now: float, stage: str) -> None:
        """Note that the daemon is at work. Without effect before `accepted`."""
        if not self.is_accepted:
            return
        self._message_due_at = now + SILENCE_S
        if stage in UNTIMED_STAGES:
            self._answer_due_at = now + self._deadline_s + MARGIN_S

    def timeout_error(self, method: str) -> SupervisorError:
        """Return the error to raise at the deadline."""
        if not self.is_accepted:
            return self._with_safety(
                AcceptTimeout(f"the daemon did not answer {method} in time", hint="godot-supervisor logs --daemon")
            )
        if self._message_due_at < min(self._call_ends_at, self._answer_due_at):
            return self._with_safety(
                ResponseTimeout(
                    f"the daemon has been silent for {SILENCE_S:g} s during {method}",
                    hint="godot-supervisor logs --daemon",
                )
            )
        return self._with_safety(
            ResponseTimeout(f"no result of {method} in time", hint="it may still complete: godot-supervisor status")
        )

    def disconnection_error(self, method: str) -> SupervisorError:
        """Return the error to raise when the connection ends."""
        if self.is_accepted:
            return self._with_safety(
                DisconnectedAfterAccept(
                    f"the connection to the daemon ended during {method}", hint="godot-supervisor status"
                )
            )
        return self._with_safety(
            DisconnectedBeforeAccept(
                f"the connection to the daemon ended before it accepted {method}", hint="godot-supervisor status"
            )
        )

    def _with_safety(self, problem: SupervisorError) -> SupervisorError:
        """Mark the error as safe to retry if the request has an id of the client."""
        if self._has_request_id:
            # A class variable in every other error; here it depends on what was sent.
            vars(problem).update(safe_to_retry=True)
        return problem


class StreamTimeout:
    """The limit of listening to a stream, which may be silent for as long as the daemon has nothing to say."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        """When to give up. Monotonic, seconds."""

    def timeout_error(self, method: str) -> SupervisorError:  # noqa: ARG002 (as `CallTimeout` has it)
        """Return the error to raise at the deadline."""
        return ResponseTimeout("stopped listening: the time set by --timeout is over")

    def disconnection_error(self, method: str) -> SupervisorError:
        """Return the error to raise when the connection ends."""
        return DisconnectedAfterAccept(
            f"the connection to the daemon ended during {method}", hint="godot-supervisor status"
        )


Timeout = CallTimeout | StreamTimeout
