"""Keeps a daemon's files where clients look for them, and lets it go when its home is another's.

Nothing ticks: the system tells when a file loses its place (Linux), whoever finds no daemon asks for it outside the
home, and every act looks first.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from ..client import endpoint
from ..client.endpoint import Endpoint, Present, ProtocolRange
from ..core.model import ProcessIdentity
from ..engine.state.events import Events
from ..engine.state.records import Records
from ..native.api import Watch
from ..native.facts import Folders
from ..registry.store import FileStore, Loaded
from ..values import frozen
from ..wire.messages.session import PROTOCOL_MAX, PROTOCOL_MIN
from .home_ownership import HomeOwnership, Standing
from .logs import LogFile
from .loop_errors import LoopErrors

SETTLE_S = 0.2
"""How long after a file has lost its place the home is looked at: a folder is removed file by file."""

WatchPlaces = Callable[[Iterable[Path], Callable[[], None]], Watch | None]


@frozen
class Identity:
    """This life of the daemon, as it is published. The token stays out of reprs."""

    process: ProcessIdentity
    instance_id: str
    version: str
    token: str = field(repr=False)


class HomeFiles:
    """Looks after one home while the daemon lives."""

    def __init__(
        self,
        folders: Folders,
        tenancy: HomeOwnership,
        events: Events,
        records: Records,
        log_file: LogFile,
        watch_places: WatchPlaces,
    ) -> None:
        self._folders = folders
        self._tenancy = tenancy
        self._events = events
        self._records = records
        self._log_file = log_file
        self._watch_places = watch_places
        self._watch: Watch | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._published: Endpoint | None = None
        self._ours: Identity
        self._mender: LoopErrors | None = None
        self._told = ""

    def begin(self, ours: Identity, withdraw: Callable[[], object]) -> None:
        """Answer those who ask outside the home. `withdraw` ends the daemon, when its home is another daemon's."""
        self._ours = ours

        def lost() -> None:
            self._events.warn("daemon.home_lost", reason=self._tenancy.lost)
            withdraw()

        self._tenancy.on_lost = lost
        self._tenancy.on_restored = self._restored
        self._tenancy.listen(self._answer)

    def load(self, store: FileStore) -> Loaded:
        """What the last daemon of this folder left. Rows of a home that has a daemon of its own are set aside."""
        loaded = store.load()
        if not loaded.state.servers or self._tenancy.inherit(loaded.homes):
            return loaded
        return store.set_aside("the folder is a copy, or was moved: the daemon of its own home lives")

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
        self._tenancy.assure_writable()
        endpoint.publish(self._folders.endpoint, published)
        self._arm()

    def mends(self, mender: LoopErrors) -> None:
        """Whom to tell that the socket may have lost its place."""
        self._mender = mender

    def close(self) -> None:
        """The daemon ends: nothing is made again."""
        self._published = None
        if self._watch is not None:
            self._watch.close()
        if self._settling is not None:
            self._settling.cancel()

    def look(self) -> None:
        """See that everything is where clients look for it."""
        standing = self._tenancy.look()
        if standing is Standing.UNUSABLE:
            if self._tenancy.trouble != self._told:
                self._told = self._tenancy.trouble or ""
                self._events.warn("daemon.home_unusable", reason=self._told)
        elif standing is not Standing.LOST and self._published is not None:
            self._told = ""
            self._publish_again(self._published)
            if self._mender is not None:
                self._mender.look()
            self._arm()

    def _publish_again(self, published: Endpoint) -> None:
        if endpoint.is_published(self._folders.endpoint, published.instance_id):
            return
        try:
            endpoint.publish(self._folders.endpoint, published)
        except OSError as error:
            self._events.warn("daemon.not_published", reason=str(error))
        else:
            self._events.publish("daemon.published_again")

    def _restored(self) -> None:
        """The folder, or the lock in it, has been made again."""
        # Its entries went to a file that has no name any more; the next one makes it anew.
        self._log_file.reopen()
        self._events.warn("daemon.home_restored", home=str(self._folders.home))
        loop = asyncio.get_running_loop()
        loop.call_soon(self._records.write_again)
        loop.call_soon(self.look)

    def _answer(self) -> bytes:
        """Somebody has found no daemon in the home."""
        self.look()
        problem = self._tenancy.lost or self._tenancy.trouble
        return Present(self._ours.process.pid, self._ours.version, self._published, problem).encode()

    def _changed(self) -> None:
        self._watch = None
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._settling = None
        self.look()

    def _arm(self) -> None:
        if self._watch is not None or self._published is None:
            return
        folders = self._folders
        places = (folders.lock, folders.endpoint, folders.socket, folders.home, *folders.home.parents)
        try:
            self._watch = self._watch_places(places, self._changed)
        except OSError as error:
            # The other two ways are left: who asks, and every act.
            self._events.publish("daemon.home_not_watched", reason=str(error))
