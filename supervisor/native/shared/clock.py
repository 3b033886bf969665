"""The real clock."""

import time


class MonotonicClock:
    """Time as the system counts it. The same source as the event loop's."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since the epoch."""
        return time.time()
