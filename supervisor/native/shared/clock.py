"""The real clock."""

import time


class MonotonicClock:
    """See `Clock`. `monotonic` reads the same source as the event loop."""

    def monotonic(self) -> float:
        """Return seconds that never decrease."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()
