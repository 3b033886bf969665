"""Before the start: a daemon of another release, with which no protocol version is shared, is asked to end."""

import asyncio

from ..client.endpoint import Endpoint
from ..core.model import ProcessIdentity
from ..native.platforms import open_platform


def ask_to_end(published: Endpoint) -> bool:
    """Send the polite request to end to exactly the process that published this endpoint.

    Returns:
        False if the process had ended already.

    Raises:
        PlatformUnsupported: this system is not supported.
        OSError: the system refused.
    """
    return asyncio.run(open_platform().processes.ask_to_end(ProcessIdentity(published.pid, published.start_token)))
