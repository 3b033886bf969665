"""The requests that clients name by ids of their own.

Clients choose without knowing of each other, so the same id means another request for another client, and for another
editor or owner of the same client.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..core.model import ProcessIdentity
from ..engine.operations.outcomes import KEPT, KEPT_S
from ..errors import InvalidParams, NotFound
from ..values import frozen
from ..wire.messages.session import ClientInfo

UNNAMED = "a client"
"""The name of a client that has not said hello, which is optional on the unix socket."""

SWEPT_AT = 1000
"""With more ids than this, each new id removes those whose requests the engine no longer knows."""

CALLERS = 8
"""How many connections are remembered for each request: the latest that have sent it."""

NOT_COMPARED = ("request", "editor", "owner")
"""Fields that are compared apart: the id, and for which editor or owner the client asks."""

FORGOTTEN = f"name the editor or owner it was made for; outcomes are kept for {KEPT_S:g} s, at most {KEPT}"
OTHER_ID = "choose another id for another request"


class Caller:
    """The client at the other end of one connection. `gone`: the connection has ended.

    `who` is its name for people. `instance` is the id that the program chose for this run of it, None if it chose none.
    """

    def __init__(self) -> None:
        self.who = UNNAMED
        self.instance: str | None = None
        self.gone = False
        self._on_gone: list[Callable[[], None]] = []

    def introduce(self, client: ClientInfo) -> None:
        """Note what the client said of itself in `hello`."""
        self.who = f"{client.name} {client.version}"
        self.instance = client.instance

    def when_gone(self, action: Callable[[], None]) -> None:
        """Call `action` when the connection has ended."""
        self._on_gone.append(action)

    def leave(self) -> None:
        """Note that the connection has ended. Repeating it is harmless."""
        self.gone = True
        while self._on_gone:
            self._on_gone.pop()()

    def is_same_client(self, other: "Caller") -> bool:
        """Return whether both are one client, on any connection: by its instance, or by its name if it has none."""
        same_instance = self.instance == other.instance
        return self is other or (same_instance and (bool(self.instance) or self.who == other.who))


@frozen
class RequestScope:
    """The editor or owner for which a client asks. `names` are its names: the editor's id, and its pid.

    `process` is None if the process has ended or is not known. Without names, the client asks for itself.
    """

    names: frozenset[str] = frozenset()
    process: ProcessIdentity | None = None

    def is_same(self, other: "RequestScope") -> bool:
        """Return whether both are the same.

        Two known processes are compared instead of the names, because an editor's id or a pid may be reused.
        """
        if self.process is not None and other.process is not None:
            return self.process == other.process
        return not self.names.isdisjoint(other.names) or not (self.names or other.names)

    def __str__(self) -> str:
        return f"for {' or '.join(sorted(self.names))}" if self.names else "for no editor or owner"


@dataclass(eq=False)
class NamedRequest:
    """The request behind an id. `engine_name` is the engine's name for it. `callers` are those that have sent it."""

    engine_name: str
    scope: RequestScope
    operation: str
    params: Mapping[str, Any]
    callers: list[Caller]

    def came_from(self, caller: Caller) -> bool:
        """Return whether the request came on this very connection."""
        return any(each is caller for each in self.callers)

    def came_from_client_of(self, caller: Caller) -> bool:
        """Return whether the request came from the client of this connection, on another connection.

        Two clients without an instance may have the same name, so a client whose old connection is still open is not
        taken for one that comes back.
        """
        same = [each for each in self.callers if each.is_same_client(caller)]
        return bool(same) and (caller.instance is not None or all(each.gone for each in same))


class NamedRequests:
    """The ids that clients have chosen. `known` returns whether the engine still knows a request by its name."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._by_id: dict[str, list[NamedRequest]] = {}
        self._pending: set[str] = set()

    def begin(self, request_id: str, caller: Caller, scope: RequestScope, operation: str, params: Any) -> NamedRequest:
        """Return the request that has arrived: a new one, or the same one that was sent before.

        Raises:
            InvalidParams: this client has used the id for a different request, or for another editor or owner.
        """
        asked = {name: value for name, value in fields_of(params).items() if name not in NOT_COMPARED}
        before = self._sent_before(request_id, caller, scope)
        if before is None:
            return self._add(request_id, NamedRequest(self._free_name(request_id), scope, operation, asked, [caller]))
        _refuse_another(request_id, before, operation, asked)
        if not before.came_from(caller):
            before.callers = [*before.callers[1 - CALLERS :], caller]
        return before

    @contextmanager
    def pending(self, request: NamedRequest) -> Iterator[None]:
        """Keep a request while the context is open: it is on its way to the engine, which does not know it yet."""
        self._pending.add(request.engine_name)
        try:
            yield
        finally:
            self._pending.discard(request.engine_name)

    def find(self, request_id: str, caller: Caller, scope: RequestScope) -> str:
        """Return the engine's name for a request whose outcome a client wants, or that a client cancels.

        Raises:
            NotFound: this client has made no such request.
            InvalidParams: this client has made several, for different editors or owners.
        """
        living = self._living(request_id)
        if scope.names:
            found = [request for request in living if request.scope.is_same(scope)]
        else:
            found = [request for request in living if request.came_from(caller)]
            found = found or [request for request in living if request.came_from_client_of(caller)]
        if len(found) > 1:
            several = " and ".join(f"{request.operation} {request.scope}" for request in found)
            raise InvalidParams("request", f"{request_id!r} was {several}", hint="say which: editor or owner")
        if found:
            return found[0].engine_name
        if not living and self._known(request_id):
            # The daemon's own name for the request, which no other request has.
            return request_id
        raise NotFound(f"no request {request_id!r} of this client", hint=FORGOTTEN)

    def _sent_before(self, request_id: str, caller: Caller, scope: RequestScope) -> NamedRequest | None:
        """Return the request that this client has sent with the id for the same editor or owner; None if there is none.

        Raises:
            InvalidParams: this connection has sent the id with an editor or owner, and now without one, or conversely.
        """
        for request in self._living(request_id):
            if bool(request.scope.names) != bool(scope.names):
                if request.came_from(caller):
                    problem = f"{request_id!r} was {request.operation} {request.scope}, not {scope}"
                    raise InvalidParams("request", problem, hint=OTHER_ID)
            elif request.scope.is_same(scope) and (
                scope.names or request.came_from(caller) or request.came_from_client_of(caller)
            ):
                return request
        return None

    def _add(self, request_id: str, request: NamedRequest) -> NamedRequest:
        self._by_id.setdefault(request_id, []).append(request)
        if len(self._by_id) > SWEPT_AT:
            for other in list(self._by_id):
                self._living(other)
        return request

    def _living(self, request_id: str) -> list[NamedRequest]:
        """Return the requests of an id, newest first. Those that the engine has forgotten are forgotten here too."""
        living = [
            request
            for request in self._by_id.get(request_id, ())
            if request.engine_name in self._pending or self._known(request.engine_name)
        ]
        if living:
            self._by_id[request_id] = living
        else:
            self._by_id.pop(request_id, None)
        return living[::-1]

    def _free_name(self, request_id: str) -> str:
        """Return a name for the engine that no other request has: the id itself, if it can be."""
        own_names = {request.engine_name for requests in self._by_id.values() for request in requests}
        taken: Collection[str] = own_names | self._pending
        name, number = request_id, 1
        while name in taken or self._known(name):
            number += 1
            name = f"{request_id}~{number}"
        return name


def _refuse_another(request_id: str, before: NamedRequest, operation: str, asked: Mapping[str, Any]) -> None:
    """Refuse a request whose id the client has used for a different one.

    Raises:
        InvalidParams: the operation or a field differs.
    """
    if before.operation != operation:
        raise InvalidParams("request", f"{request_id!r} was {before.operation}", hint=OTHER_ID)
    changed = [name for name in asked if asked[name] != before.params[name]]
    if changed:
        differences = ", ".join(f"{name} {before.params[name]!r}, not {asked[name]!r}" for name in changed)
        raise InvalidParams("request", f"{request_id!r} was {operation} with {differences}", hint=OTHER_ID)


def fields_of(params: Any) -> dict[str, Any]:
    """Return the fields of a message."""
    return {name: getattr(params, name) for name in type(params).__dataclass_fields__}
