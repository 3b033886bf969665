"""Ends a daemon of another release, which understands none of our protocol's versions."""

import asyncio

from ..client.endpoint import Endpoint
from ..core.model import ProcessIdentity
from ..native.platforms import open_platform


def ask_to_leave(published: Endpoint) -> bool:
    """Send the polite request to exactly the process that published this endpoint. False: it was gone already.

    Raises:
        PlatformUnsupported: there is no wing for this system.
        OSError: the system refused.
    """
    return asyncio.run(open_platform().processes.ask_to_end(ProcessIdentity(published.pid, published.start_token)))
