"""The presence of the daemon: a name that the system keeps, outside the home folder, while the daemon lives.

No loss of files in the home can remove the name. A second daemon of the same home is refused by it, and clients that
find no endpoint in the home ask there. The module is cheap to import, because the command line loads it.
"""

import sys

from .presence_api import Presence


def take(home_id: str) -> Presence:
    """Take the name of a home.

    Raises:
        HeldError: another process of this user holds it.
        OSError: this system cannot give the name: another user has it, or it is forbidden.
    """
    if sys.platform == "win32":
        from .windows import presence

        return presence.take(home_id)
    from .posix import presence as posix_presence

    return posix_presence.take(home_id)


def ask(home_id: str, timeout_s: float) -> bytes | None:
    """Return the answer of the daemon that holds the name. The question makes the daemon check its files.

    Returns:
        None if no daemon of this user has the name. b"" if one has it, but has not answered within `timeout_s`.
    """
    if sys.platform == "win32":
        from .windows import presence

        return presence.ask(home_id)
    from .posix import presence as posix_presence

    return posix_presence.ask(home_id, timeout_s)
