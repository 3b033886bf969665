"""The shape of a verb, and the one table that requests are looked up in."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar, cast

from ..errors import MethodNotFound
from ..values import frozen
from ..wire import fields
from .progress import CallProgress
from .requests import Caller

GREETING = "hello"
"""Answered by the connection itself: it is what admits a client."""

P = TypeVar("P")

Read = Callable[[P], object]
Personal = Callable[[P, Caller], object]
Mutation = Callable[[P, CallProgress], Coroutine[Any, Any, object]]


@frozen
class Method(Generic[P]):
    """One method of the protocol. Handlers answer with a dataclass of `wire.messages`, or raise a typed error.

    A read is called with its params and answers at once, or is a coroutine function; its answer may be the `Opening` of
    a stream. A personal one is called with its caller, too. A mutation is a coroutine
    function, called with its params and its requester; it is cancelled when the requester has gone.
    """

    method: str
    params: type[P]
    handler: Read[P] | Personal[P] | Mutation[P]
    mutation: bool = False
    personal: bool = False

    def answer(self, params: P, caller: Caller | None = None) -> object:
        """Call a read: its answer, or the coroutine that will have it."""
        if self.personal:
            return cast("Personal[P]", self.handler)(params, caller or Caller())
        return cast("Read[P]", self.handler)(params)

    def perform(self, params: P, requester: CallProgress) -> Coroutine[Any, Any, object]:
        """Call a mutation."""
        return cast("Mutation[P]", self.handler)(params, requester)


class MethodTable:
    """All verbs by method."""

    def __init__(self, verbs: Iterable[Method[Any]]) -> None:
        """Examine them once.

        Raises:
            ValueError: two verbs have one method, or one has the connection's own.
            TypeError: params that cannot be read from JSON.
        """
        self._verbs: dict[str, Method[Any]] = {}
        for verb in verbs:
            if verb.method in self._verbs or verb.method == GREETING:
                raise ValueError(f"two verbs are called {verb.method}")
            fields.prepare(verb.params)
            self._verbs[verb.method] = verb

    @property
    def methods(self) -> tuple[str, ...]:
        """What a client may ask for, in order of the table."""
        return (GREETING, *self._verbs)

    def find(self, method: str) -> Method[Any]:
        """The verb of this method.

        Raises:
            MethodNotFound: there is none in this version.
        """
        try:
            return self._verbs[method]
        except KeyError:
            raise MethodNotFound(f"no such method: {method}", hint=f"there are {', '.join(self.methods)}") from None
