"""Whether a server still lives, and whether anything still needs it."""

from ...core.model import Liveness, ServerRecord
from .context import EngineContext


class Standing:
    """Answers four questions about a server record, by samples of its processes and of its owners."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context

    def dead(self, record: ServerRecord) -> bool:
        """Whether its process has ended, or it has none."""
        return record.process is None or self._context.platform.probe.sample(record.process) is Liveness.DEAD

    def gone(self, record: ServerRecord) -> bool:
        """Whether nothing of it is known to live."""
        known = (record.root, record.process)
        return all(i is None or self._context.platform.probe.sample(i) is Liveness.DEAD for i in known)

    def wanted(self, record: ServerRecord) -> bool:
        """Whether an owner that is not proven dead, a lease, or whoever asked without an owner wants it to run.

        An owner that lingers may come back. Nobody has asked this daemon for a server that was merely found: its plugin
        has plans of its own.
        """
        if record.observed_only or record.until_stopped:
            return record.until_stopped and not record.observed_only
        platform = self._context.platform
        now = platform.clock.monotonic()
        linger_s = self._context.kind_of(record).linger_s
        return any(lease.expires > now for lease in record.leases) or any(
            (owner.leaving_since is None or now < owner.leaving_since + linger_s)
            and platform.probe.sample(owner.process) is not Liveness.DEAD
            for owner in record.owners
        )

    def expected(self, record: ServerRecord) -> bool:
        """Whether it is to be there: somebody wants it, or it was started for nobody and runs until it is stopped."""
        return self.wanted(record) or not (record.ever_owned or record.observed_only)
