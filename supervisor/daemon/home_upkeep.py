"""While the daemon runs: its files are kept where clients look for them. It ends if its home is another daemon's.

There is no timer. Three events make the daemon look: the system reports that a file was moved or removed
(Linux), a client that finds no daemon asks for it through its presence, and every act checks the home first.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from ..client import endpoint, start_file
from ..client.endpoint import Endpoint, PresenceReply, ProtocolRange
from ..core.model import ProcessIdentity
from ..engine.state.events import Events
from ..engine.state.records import Records
from ..native.api import Watch
from ..native.facts import Folders
from ..registry.store import FileStore, Loaded
from ..values import frozen
from ..wire.messages.session import PROTOCOL_MAX, PROTOCOL_MIN
from .daemon_log import LogFile
from .home_ownership import HomeOwnership, HomeState

SETTLE_S = 0.2
"""Seconds between the report that a file was removed and the look at the home: folders are removed file by file."""

WatchPaths = Callable[[Iterable[Path], Callable[[], None]], Watch | None]
"""Watches paths, as `native.platforms.watch_paths`."""


@frozen
class DaemonIdentity:
    """This run of the daemon, as it is published. The token stays out of reprs.

    `by_service`: the system's service manager runs it.
    """

    process: ProcessIdentity
    instance_id: str
    version: str
    token: str = field(repr=False)
    by_service: bool = False


class HomeUpkeep:
    """Keeps the files of one home in their places: endpoint, lock, socket, log and registry."""

    def __init__(
        self,
        folders: Folders,
        ownership: HomeOwnership,
        events: Events,
        records: Records,
        log_file: LogFile,
        watch_paths: WatchPaths,
    ) -> None:
        self._folders = folders
        self._ownership = ownership
        self._events = events
        self._records = records
        self._log_file = log_file
        self._watch_paths = watch_paths
        self._watch: Watch | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._published: Endpoint | None = None
        self._ours: DaemonIdentity
        self._check: Callable[[], None] = _nothing
        self._reported = ""

    def begin(self, ours: DaemonIdentity, end_daemon: Callable[[], object]) -> None:
        """Answer clients that ask through the presence. `end_daemon` is called if the daemon loses its home."""
        self._ours = ours

        def lost() -> None:
            self._events.warn("daemon.home_lost", reason=self._ownership.lost)
            end_daemon()

        self._ownership.on_lost = lost
        self._ownership.on_restored = self._restore_other_files
        self._ownership.listen(self._answer)

    def load(self, store: FileStore) -> Loaded:
        """Return what the last daemon of this folder saved. Set aside the registry of a home with another daemon."""
        loaded = store.load()
        if not loaded.state.servers or self._ownership.inherit(loaded.homes):
            return loaded
        return store.set_aside("the folder was copied or moved, and the daemon of its old home is running")

    def publish(self, transports: tuple[Mapping[str, Any], ...]) -> None:
        """Publish where the daemon answers, and keep it published.

        Raises:
            OSError: the file cannot be written.
        """
        ours = self._ours
        self._published = published = Endpoint(
            schema=endpoint.SCHEMA,
            pid=ours.process.pid,
            start_token=ours.process.start_token,
            instance_id=ours.instance_id,
            version=ours.version,
            protocol=ProtocolRange(PROTOCOL_MIN, PROTOCOL_MAX),
            token=ours.token,
            transports=transports,
            home=str(self._folders.home),
        )
        self._ownership.check_may_write()
        endpoint.publish(self._folders.endpoint, published)
        self._watch_files()
        self._tell_how_to_start()

    def _tell_how_to_start(self) -> None:
        how = start_file.describe(self._folders, self._ours.version, service=self._ours.by_service)
        try:
            start_file.publish(self._folders.start_file, how)
        except OSError as error:
            # Only plugins that would start the next daemon miss the file.
            self._events.warn("daemon.start_file_not_written", reason=str(error))

    def also_check(self, check: Callable[[], None]) -> None:
        """Call `check` at every look: the listener's socket may have been removed as well."""
        self._check = check

    def close(self) -> None:
        """Stop restoring files, because the daemon ends."""
        self._published = None
        if self._watch is not None:
            self._watch.close()
        if self._settling is not None:
            self._settling.cancel()

    def look(self) -> None:
        """Check that every file is where clients look for it, and restore what is missing."""
        state = self._ownership.look()
        if state is HomeState.UNUSABLE:
            if self._ownership.trouble != self._reported:
                self._reported = self._ownership.trouble or ""
                self._events.warn("daemon.home_unusable", reason=self._reported)
        elif state is not HomeState.LOST and self._published is not None:
            self._reported = ""
            self._publish_again(self._published)
            self._check()
            self._watch_files()

    def _publish_again(self, published: Endpoint) -> None:
        if endpoint.is_published(self._folders.endpoint, published.instance_id):
            return
        try:
            endpoint.publish(self._folders.endpoint, published)
        except OSError as error:
            self._events.warn("daemon.not_published", reason=str(error))
        else:
            self._events.publish("daemon.published_again")

    def _restore_other_files(self) -> None:
        """Restore the other files after the folder, or the lock in it, was made again."""
        # Entries since then went to a removed file. The next entry makes the log file anew.
        self._log_file.reopen()
        self._events.warn("daemon.home_restored", home=str(self._folders.home))
        loop = asyncio.get_running_loop()
        loop.call_soon(self._records.write_again)
        loop.call_soon(self.look)

    def _answer(self) -> bytes:
        """Answer a client that has found no daemon in the home."""
        self.look()
        problem = self._ownership.lost or self._ownership.trouble
        return PresenceReply(self._ours.process.pid, self._ours.version, self._published, problem).encode()

    def _changed(self) -> None:
        self._watch = None
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._settling = None
        self.look()

    def _watch_files(self) -> None:
        if self._watch is not None or self._published is None:
            return
        folders = self._folders
        paths = (folders.lock, folders.endpoint, folders.socket, folders.home, *folders.home.parents)
        try:
            self._watch = self._watch_paths(paths, self._changed)
        except OSError as error:
            # Two occasions for a look are left: a client that asks, and every act.
            self._events.publish("daemon.home_not_watched", reason=str(error))


def _nothing() -> None:
    pass
