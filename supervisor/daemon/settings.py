"""What config.toml says to a daemon: read at its start, and again when a user asks."""

import os
from collections.abc import Callable

from ..config import Config, load, naming
from ..engine.events import Events
from ..errors import StateNotWritable, SupervisorError
from ..frozen import frozen
from ..kinds.catalog import Catalog
from ..native.facts import Folders
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
    """The settings of a home, as a daemon would start with them.

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
        events: Events,
        publish: Callable[[], None],
        look_again: Callable[[], None],
    ) -> None:
        self._folders = folders
        self._settings = settings
        self._events = events
        self._publish = publish
        self._look_again = look_again

    def reload(self) -> tuple[str, ...]:
        """Publish the endpoint anew, and read the configuration. Settings that changed and wait for the next start.

        Raises:
            StateNotWritable: the endpoint cannot be published.
            ConfigInvalid: the configuration cannot be used; everything is as it was.
        """
        try:
            self._publish()
        except OSError as error:
            raise StateNotWritable(f"the endpoint cannot be published: {error}") from error
        config = load(self._folders.config, os.environ)
        loop.choose(config)
        catalog, before = self._settings.catalog, self._settings.config
        with naming(self._folders.config):
            catalog.reload(config.kinds)
        waiting = tuple(f"daemon.{key}" for key in LASTING if getattr(config, key) != getattr(before, key))
        self._events.publish(
            "daemon.reloaded", config=str(self._folders.config), kinds=catalog.names(), waiting=waiting
        )
        self._look_again()
        return waiting

    def quietly(self) -> None:
        """SIGHUP: nobody waits for an answer."""
        try:
            self.reload()
        except SupervisorError as error:
            self._events.warn("daemon.not_reloaded", reason=error.message)
