"""How long the operations on a server may take, in seconds, with their waits and retries. Pure."""

KILL_TIMEOUT_S = 5.0
"""How long the kernel may take to end a killed tree, in all."""

START_ATTEMPTS = 3
"""How many sets of ports a start tries, because another process may take a port first."""

STOP_SLACK_S = 10.0
"""How much longer than its waits a stop may take, on a busy machine."""


def start_deadline(ready_timeout_s: float, stop_timeout_s: float) -> float:
    """Return how long a start may take in all: it may lose its ports to other processes and begin again."""
    return START_ATTEMPTS * (ready_timeout_s + 2 * stop_timeout_s + KILL_TIMEOUT_S)


def stop_deadline(stop_timeout_s: float) -> float:
    """Return how long a stop may take in all: the server has its time, and then the processes that it ran."""
    return 2 * stop_timeout_s + KILL_TIMEOUT_S + STOP_SLACK_S
