"""Sends signals. No other module does. Each signal is proven right immediately before it is sent."""

from enum import StrEnum

from ...core.model import Liveness, ProcessIdentity
from ...core.processes.proof import SignalEvidence, Stoppable, TreeMember, judge_signal
from ...native.api import Probe, ProcessControl, identify_if_told
from ..state.events import Events


class Signal(StrEnum):
    """How to end a process: ask it to end, or kill it."""

    ASK = "ask"
    KILL = "kill"


class SignalOutcome(StrEnum):
    """What came of a signal.

    SENT: the process got it. GONE: the process is proven dead. HELD: the proof is missing, so nothing was sent. FAILED:
    the system refused. UNIDENTIFIED: the system cannot identify the process now, but may be able to later.
    """

    SENT = "sent"
    GONE = "gone"
    HELD = "held"
    FAILED = "failed"
    UNIDENTIFIED = "unidentified"


class Signals:
    """Sends signals, or reports why a signal was not sent."""

    def __init__(self, probe: Probe, processes: ProcessControl, events: Events) -> None:
        self._probe = probe
        self._processes = processes
        self._events = events

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the process that has a pid now, None also where the system does not tell."""
        return identify_if_told(self._probe, pid)

    async def ask(self, member: TreeMember, evidence: SignalEvidence, *, server: str) -> SignalOutcome:
        """Ask one process to end, if that is proven right."""
        proof = self._prove(member, evidence, server)
        if isinstance(proof, SignalOutcome):
            return proof
        try:
            sent = await self._processes.ask_to_end(member.identity)
        except OSError as error:
            return self._report_failed(member, error, server)
        return self._report_sent(Signal.ASK, member, proof, server, reached=sent)

    def kill(self, member: TreeMember, evidence: SignalEvidence, *, server: str) -> SignalOutcome:
        """Kill one process, if that is proven right."""
        proof = self._prove(member, evidence, server)
        if isinstance(proof, SignalOutcome):
            return proof
        try:
            sent = self._processes.kill(member.identity)
        except OSError as error:
            return self._report_failed(member, error, server)
        return self._report_sent(Signal.KILL, member, proof, server, reached=sent)

    def _prove(self, member: TreeMember, evidence: SignalEvidence, server: str) -> Stoppable | SignalOutcome:
        """Return the proof that the signal is right, or what comes of the signal without a proof."""
        proof = judge_signal(member, evidence)
        if isinstance(proof, Stoppable):
            return proof
        if evidence.process_now is None:
            return self._report_unidentified(member.identity, server)
        self._events.warn("signal.refused", server=server, pid=member.identity.pid, reason=proof.reason)
        return SignalOutcome.HELD

    def _report_sent(
        self, signal: Signal, member: TreeMember, proof: Stoppable, server: str, *, reached: bool
    ) -> SignalOutcome:
        self._events.publish(
            "signal.sent",
            server=server,
            pid=member.identity.pid,
            signal=signal,
            link=member.role,
            proof=proof.reason,
            reached=reached,
        )
        return SignalOutcome.SENT if reached else SignalOutcome.GONE

    def _report_failed(self, member: TreeMember, error: OSError, server: str) -> SignalOutcome:
        self._events.warn("signal.failed", server=server, pid=member.identity.pid, reason=str(error))
        unknown = self._probe.sample(member.identity) is Liveness.UNKNOWN
        return SignalOutcome.UNIDENTIFIED if unknown else SignalOutcome.FAILED

    def _report_unidentified(self, identity: ProcessIdentity, server: str) -> SignalOutcome:
        if self._probe.sample(identity) is Liveness.DEAD:
            return SignalOutcome.GONE
        self._events.warn(
            "signal.failed", server=server, pid=identity.pid, reason="the system does not identify the process"
        )
        return SignalOutcome.UNIDENTIFIED
