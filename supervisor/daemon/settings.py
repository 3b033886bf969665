"""What config.toml says to a daemon: read at its start, and again when a user asks."""

import asyncio
import os
from collections.abc import Callable

from ..config import Config, load, naming
from ..engine.state.events import Events
from ..errors import StateNotWritable, SupervisorError
from ..kinds.catalog import Catalog
from ..native.api import Lanes
from ..native.facts import Folders
from ..native.lane import Lane
from ..values import frozen
from . import loop

LASTING = ("log_level", "event_loop", "discover", "environments")
"""What holds from a daemon's start to its end."""


@frozen
class Settings:
    """One reading of config.toml, complete and usable."""

    config: Config
    catalog: Catalog
    loop: loop.Choice


def read(folders: Folders) -> Settings:
    """The settings of a home, as a daemon would start with them. Blocking.

    Raises:
        ConfigInvalid: they cannot be used.
    """
    config = load(folders.config, os.environ)
    choice = loop.choose(config)
    with naming(folders.config):
        return Settings(config, Catalog.build(config.kinds), choice)


class Reloader:
    """Reads the settings again. `publish` and `look_again` are the daemon's own."""

    def __init__(
        self,
        folders: Folders,
        settings: Settings,
        lanes: Lanes,
        events: Events,
        publish: Callable[[], None],
        look_again: Callable[[], None],
    ) -> None:
        self._folders = folders
        self._settings = settings
        self._lanes = lanes
        self._events = events
        self._publish = publish
        self._look_again = look_again
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def reload(self) -> tuple[str, ...]:
        """Publish the endpoint anew, and read the configuration. Settings that changed and wait for the next start.

        Raises:
            StateNotWritable: the endpoint cannot be published.
            ConfigInvalid: the configuration cannot be used; everything is as it was.
        """
        try:
            self._publish()
        except OSError as error:
            raise StateNotWritable(f"the endpoint cannot be published: {error}") from error
        async with self._one_at_a_time:
            # Off the loop, because a parser takes a second for the largest file that there may be.
            found = await self._lanes.do(read, self._folders, lane=Lane.FILES)
            catalog, before = self._settings.catalog, self._settings.config
            catalog.kinds = found.catalog.kinds
        waiting = tuple(f"daemon.{key}" for key in LASTING if getattr(found.config, key) != getattr(before, key))
        self._events.publish(
            "daemon.reloaded", config=str(self._folders.config), kinds=catalog.names(), waiting=waiting
        )
        self._look_again()
        return waiting

    def quietly(self) -> None:
        """SIGHUP: nobody waits for an answer."""
        self._task = asyncio.get_running_loop().create_task(self._quietly())

    async def _quietly(self) -> None:
        try:
            await self.reload()
        except SupervisorError as error:
            self._events.warn("daemon.not_reloaded", reason=error.message)
