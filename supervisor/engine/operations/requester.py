"""Whoever asked for a mutation, as the engine sees it."""

from typing import Protocol


class Requester(Protocol):
    """Told what becomes of its request. Calls never block, and are harmless once it has gone."""

    @property
    def who(self) -> str:
        """What it calls itself, for events and for those who meet its operation."""
        ...

    def accepted(self, *, request: str, joined: bool, deadline_s: float) -> None:
        """The request was admitted: BUSY cannot follow."""
        ...

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """Where it stands."""
        ...
