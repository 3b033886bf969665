"""The table of the protocol's methods, and the declarations that fill it.

A mutation changes a server: it is an operation, or waits for one, and sends its progress. Every other method is
declared as a read, also one that changes something else, such as a lease: it sends no progress, and a daemon that is
ending does not refuse it.

A new method needs two places: its messages with a line in `wire.messages.methods`, and a handler that is declared with
`read` or `mutation` in a module of this folder.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar, cast

from ...errors import MethodNotFound
from ...values import frozen
from ...wire import fields
from ...wire.messages.methods import METHODS
from ..named_requests import Caller
from ..progress import CallProgress

GREETING = "hello"
"""The method that admits a client. The connection answers it itself."""

P = TypeVar("P")

Read = Callable[[P], object]
ReadWithCaller = Callable[[P, Caller], object]
Mutation = Callable[[P, CallProgress], Coroutine[Any, Any, object]]


@frozen
class Method(Generic[P]):
    """One method of the protocol. A handler returns a dataclass of `wire.messages`, or raises a typed error.

    A read is called with its params and returns the answer, a coroutine that returns the answer, or a `NewStream`.
    `with_caller`: the read is called with its caller as well. A mutation is a coroutine function, called with its
    params and the progress of its call; it is cancelled when its client disconnects.
    """

    name: str
    params: type[P]
    handler: Read[P] | ReadWithCaller[P] | Mutation[P]
    mutation: bool = False
    with_caller: bool = False

    def answer(self, params: P, caller: Caller | None = None) -> object:
        """Call a read, and return its answer, or the coroutine that returns the answer."""
        if self.with_caller:
            return cast("ReadWithCaller[P]", self.handler)(params, caller or Caller())
        return cast("Read[P]", self.handler)(params)

    def perform(self, params: P, progress: CallProgress) -> Coroutine[Any, Any, object]:
        """Call a mutation, and return its coroutine."""
        return cast("Mutation[P]", self.handler)(params, progress)


class MethodTable:
    """All methods by name."""

    def __init__(self, methods: Iterable[Method[Any]]) -> None:
        """Examine the methods once, so that a defect is found when the daemon starts.

        Raises:
            ValueError: two methods have one name, or one is called like the connection's own.
            TypeError: the params of a method cannot be read from JSON.
        """
        self._methods: dict[str, Method[Any]] = {}
        for method in methods:
            if method.name in self._methods or method.name == GREETING:
                raise ValueError(f"two methods are called {method.name}")
            fields.prepare(method.params)
            self._methods[method.name] = method

    @property
    def names(self) -> tuple[str, ...]:
        """The methods that a client may call, in the order of the table."""
        return (GREETING, *self._methods)

    def find(self, name: str) -> Method[Any]:
        """Return the method of that name.

        Raises:
            MethodNotFound: this version has no such method.
        """
        try:
            return self._methods[name]
        except KeyError:
            raise MethodNotFound(f"no such method: {name}", hint=f"there are {', '.join(self.names)}") from None


class _Declaration(NamedTuple):
    name: str
    mutation: bool
    with_caller: bool


_KEY = "protocol_method"

Handler = TypeVar("Handler", bound=Callable[..., object])


def read(name: str, *, with_caller: bool = False) -> Callable[[Handler], Handler]:
    """Declare the decorated function as the handler of a read. `with_caller`: the handler takes its caller too."""
    return _declared(_Declaration(name, mutation=False, with_caller=with_caller))


def mutation(name: str) -> Callable[[Handler], Handler]:
    """Declare the decorated function as the handler of a mutation."""
    return _declared(_Declaration(name, mutation=True, with_caller=False))


def table_of(*groups: object) -> MethodTable:
    """Return the table of all handlers that the classes of these objects declare, in the order of the protocol.

    Raises:
        ValueError: the protocol has a method without a handler, or a handler is declared for none of its methods.
    """
    found = {declared.name: (declared, handler) for group in groups for declared, handler in _handlers(group)}
    if {*found, GREETING} != {*METHODS}:
        raise ValueError("the handlers and the protocol's methods differ")
    rows = ((types, *found[name]) for name, types in METHODS.items() if name != GREETING)
    return MethodTable(
        Method(declared.name, types.params, handler, mutation=declared.mutation, with_caller=declared.with_caller)
        for types, declared, handler in rows
    )


def _declared(declaration: _Declaration) -> Callable[[Handler], Handler]:
    def declare(handler: Handler) -> Handler:
        vars(handler)[_KEY] = declaration
        return handler

    return declare


def _handlers(group: object) -> Iterator[tuple[_Declaration, Any]]:
    for attribute, value in vars(type(group)).items():
        declaration = vars(value).get(_KEY) if callable(value) else None
        if declaration is not None:
            yield declaration, getattr(group, attribute)
