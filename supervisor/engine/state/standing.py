"""Answers whether a server lives, and whether it is needed."""

from ...core.model import Liveness, ProcessIdentity, ServerRecord
from ...native.api import Probe
from .context import EngineContext


def may_live(probe: Probe, process: ProcessIdentity) -> bool:
    """Return whether a process is not proven dead. A process that the system does not tell about may live."""
    return probe.sample(process) is not Liveness.DEAD


class Standing:
    """Answers five questions about a server record by sampling its processes and its owners."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def process_ended(self, record: ServerRecord) -> bool:
        """Return whether the listening process has ended, or the server has none. Its root may still live."""
        return record.process is None or not may_live(self._context.platform.probe, record.process)

    def all_processes_ended(self, record: ServerRecord) -> bool:
        """Return whether both the listening process and the root have ended, as far as they are known."""
        known = (record.root, record.process)
        return all(each is None or not may_live(self._context.platform.probe, each) for each in known)

    def is_wanted(self, record: ServerRecord) -> bool:
        """Return whether a claim keeps the server: an owner not proven dead, a lease, or a request without an owner.

        An owner that lingers may come back. A server that is only observed is not wanted: no request to this daemon
        named it, and its own plugin manages it.
        """
        if record.observed_only:
            return False
        if record.until_stopped:
            return True
        platform = self._context.platform
        now = platform.clock.monotonic()
        linger_s = self._context.kind_of(record).linger_s
        return any(lease.expires > now for lease in record.leases) or any(
            (owner.leaving_since is None or now < owner.leaving_since + linger_s)
            and may_live(platform.probe, owner.process)
            for owner in record.owners
        )

    def ended_with_its_editors(self, record: ServerRecord) -> bool:
        """Return whether an adopted server, which has ended, has only owners that leave, and no other claim.

        Its starter is then taken to have ended it: the plugin of an editor that is being closed.
        """
        now = self._context.platform.clock.monotonic()
        leaving = all(
            owner.leaving_since is not None or not may_live(self._context.platform.probe, owner.process)
            for owner in record.owners
        )
        return (
            record.foreign
            and leaving
            and not record.until_stopped
            and all(now >= each.expires for each in record.leases)
        )

    def should_run(self, record: ServerRecord) -> bool:
        """Return whether the server should run: it is wanted, or it was started without ever having an owner."""
        return self.is_wanted(record) or not (record.ever_owned or record.observed_only)
