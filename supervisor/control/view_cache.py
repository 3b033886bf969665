"""Views that are kept for as long as everything that they were made from stays the same."""

from collections.abc import Callable, Container, Sized
from operator import is_
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Basis(NamedTuple):
    """Everything that a view was made from.

    `objects` are frozen and replaced as a whole, so they are compared by identity, which is a hundred times cheaper.
    Keeping them here keeps their identities from being used again. `values` are compared by equality.
    """

    objects: tuple[object, ...] = ()
    values: tuple[object, ...] = ()

    def is_same(self, other: "Basis") -> bool:
        """Return whether a view made from the other basis would be the same. Both bases are of one form."""
        return all(map(is_, self.objects, other.objects)) and self.values == other.values


def _always() -> bool:
    return True


class Names(Sized, Container[str], Protocol):
    """A collection of names, such as a mapping by name."""


class ViewCache(Generic[T]):
    """The latest view for each name."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Basis, T]] = {}

    def get(self, name: str, basis: Basis, make: Callable[[], T], lasts: Callable[[], bool] = _always) -> T:
        """Return the kept view if it was made from this basis, or else a new one.

        `lasts` returns whether a new view may be kept: False if it may change although its basis stays the same.
        """
        kept = self._kept.pop(name, None)
        if kept is None or not kept[0].is_same(basis):
            if not lasts():
                return make()
            kept = (basis, make())
        self._kept[name] = kept
        return kept[1]

    def keep_only(self, names: Names) -> None:
        """Forget the views for all other names. Cheap if there is no view too many."""
        if len(self._kept) > len(names):
            self._kept = {name: kept for name, kept in self._kept.items() if name in names}
