"""The daemon's presence: a name that the system keeps while the daemon lives, outside its home folder.

No file of the home can take it away. It shuts a second daemon of the same home out, and it is where a client asks that
finds nothing in the home. Cheap to import: the command line asks when there is no endpoint.
"""

import sys

from .presence_api import Presence


def take(home_id: str) -> Presence:
    """Be present for a home from now on.

    Raises:
        HeldError: another process of this user is.
        OSError: this system has no such name to give: it is another user's, or forbidden.
    """
    if sys.platform == "win32":
        from .windows import presence

        return presence.take(home_id)
    from .posix import presence as posix_presence

    return posix_presence.take(home_id)


def ask(home_id: str, timeout_s: float) -> bytes | None:
    """What the daemon that is present for a home says; asking has it look after its files.

    Returns:
        None if no daemon of this user is present; nothing (b"") if one is and said nothing in time.
    """
    if sys.platform == "win32":
        from .windows import presence

        return presence.ask(home_id)
    from .posix import presence as posix_presence

    return posix_presence.ask(home_id, timeout_s)
