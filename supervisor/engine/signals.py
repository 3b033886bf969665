"""The one door through which every signal goes. It proves the right again, immediately before."""

from enum import StrEnum

from ..core.model import Liveness, ProcessIdentity
from ..core.proof import Evidence, Held, Member, stoppable
from ..native.api import Probe, ProcessControl
from .events import Events


class Signal(StrEnum):
    """How to end a process."""

    ASK = "ask"
    KILL = "kill"


class Outcome(StrEnum):
    """What became of a signal.

    GONE: its process is proven dead. HELD: the proof is missing. FAILED: the system refused. UNTOLD: the system does
    not tell now who would get it; it may later.
    """

    SENT = "sent"
    GONE = "gone"
    HELD = "held"
    FAILED = "failed"
    UNTOLD = "untold"


class Signals:
    """Sends, or tells why not."""

    def __init__(self, probe: Probe, processes: ProcessControl, events: Events) -> None:
        self._probe = probe
        self._processes = processes
        self._events = events

    def observe(self, pid: int) -> ProcessIdentity | None:
        """Who is behind a pid now; None also where the system would not tell."""
        try:
            return self._probe.identify(pid)
        except OSError:
            return None

    def send(self, signal: Signal, member: Member, evidence: Evidence, *, server: str) -> Outcome:
        """Signal one process, if that is proven right."""
        proof = stoppable(member, evidence)
        pid = member.identity.pid
        if isinstance(proof, Held):
            if evidence.observed is None:
                return self._unseen(member.identity, server)
            self._events.warn("signal.refused", server=server, pid=pid, reason=proof.reason)
            return Outcome.HELD
        act = self._processes.ask_to_end if signal is Signal.ASK else self._processes.kill
        try:
            sent = act(member.identity)
        except OSError as error:
            self._events.warn("signal.failed", server=server, pid=pid, reason=str(error))
            unknown = self._probe.sample(member.identity) is Liveness.UNKNOWN
            return Outcome.UNTOLD if unknown else Outcome.FAILED
        self._events.publish(
            "signal.sent", server=server, pid=pid, signal=signal, link=member.link, proof=proof.reason, reached=sent
        )
        return Outcome.SENT if sent else Outcome.GONE

    def _unseen(self, identity: ProcessIdentity, server: str) -> Outcome:
        if self._probe.sample(identity) is Liveness.DEAD:
            return Outcome.GONE
        self._events.warn(
            "signal.failed", server=server, pid=identity.pid, reason="the system does not tell who that is"
        )
        return Outcome.UNTOLD
