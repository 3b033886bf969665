"""Random tokens and numbers, handed in like the clock, so that a test can repeat a run from its seed."""

import random
import secrets
from typing import Protocol


class RandomSource(Protocol):
    """A source of tokens for ids, and of numbers that spread pauses. Secrets do not come from it."""

    def token(self, count: int) -> str:
        """Return `count` random bytes as hexadecimal digits."""
        ...

    def fraction(self) -> float:
        """Return a random number from 0 to below 1."""
        ...


class SystemRandomSource:
    """Takes tokens and numbers from the operating system and from Python's generator."""

    def token(self, count: int) -> str:
        """Return `count` random bytes as hexadecimal digits."""
        return secrets.token_hex(count)

    def fraction(self) -> float:
        """Return a random number from 0 to below 1."""
        return random.random()  # noqa: S311 (spreads pauses, guards nothing)


SYSTEM_RANDOM = SystemRandomSource()
