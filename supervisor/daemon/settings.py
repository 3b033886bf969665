"""At the start, and again when a user asks for it: the daemon's settings are read from config.toml."""

import asyncio
import os
from collections.abc import Callable

from ..config.settings import Config, load, naming_file
from ..engine.state.events import Events
from ..errors import StateNotWritable, SupervisorError
from ..kinds.catalog import Catalog
from ..native.facts import Folders
from ..native.lane import Lane, Lanes
from ..values import frozen
from . import event_loop

FIXED_KEYS = ("log_level", "event_loop", "discover", "environments")
"""Keys of `[daemon]` that are read at the daemon's start only."""


@frozen
class Settings:
    """The settings of one reading of config.toml, complete and usable."""

    config: Config
    catalog: Catalog
    loop_choice: event_loop.LoopChoice


def read_settings(folders: Folders) -> Settings:
    """Return the settings of a home, with which a daemon would start. Blocking.

    Raises:
        ConfigInvalid: the settings cannot be used.
    """
    config = load(folders.config, os.environ)
    choice = event_loop.choose_loop(config)
    with naming_file(folders.config):
        return Settings(config, Catalog.build(config.kinds), choice)


class Reloader:
    """Reads the settings again.

    `publish` publishes the endpoint again. `follow_up` has the engine look at every server again, because recipes may
    have changed.
    """

    def __init__(
        self,
        folders: Folders,
        settings: Settings,
        lanes: Lanes,
        events: Events,
        publish: Callable[[], None],
        follow_up: Callable[[], None],
    ) -> None:
        self._folders = folders
        self._settings = settings
        self._lanes = lanes
        self._events = events
        self._publish = publish
        self._follow_up = follow_up
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def reload(self) -> tuple[str, ...]:
        """Publish the endpoint and read the configuration again. Return the changed keys that wait for the next start.

        Raises:
            StateNotWritable: the endpoint cannot be published.
            ConfigInvalid: the configuration cannot be used; the old settings stay.
        """
        try:
            self._publish()
        except OSError as error:
            raise StateNotWritable(f"the endpoint cannot be published: {error}") from error
        async with self._one_at_a_time:
            # In a thread, because the parser takes a second for the largest file that is allowed.
            found = await self._lanes.do(read_settings, self._folders, lane=Lane.FILES)
            catalog, before = self._settings.catalog, self._settings.config
            catalog.kinds = found.catalog.kinds
        waiting = tuple(f"daemon.{key}" for key in FIXED_KEYS if getattr(found.config, key) != getattr(before, key))
        self._events.publish(
            "daemon.reloaded", config=str(self._folders.config), kinds=catalog.names(), waiting=waiting
        )
        self._follow_up()
        return waiting

    def reload_on_signal(self) -> None:
        """Begin a reload, for SIGHUP. A signal gets no answer, so an error is reported as an event."""
        self._task = asyncio.get_running_loop().create_task(self._reload_on_signal())

    async def _reload_on_signal(self) -> None:
        try:
            await self.reload()
        except SupervisorError as error:
            self._events.warn("daemon.not_reloaded", reason=error.message)
