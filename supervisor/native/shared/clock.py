"""The real clock."""

import time


class MonotonicClock:
    """The system's time, from the source that the event loop uses."""

    def monotonic(self) -> float:
        """Return seconds that never decrease."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()
