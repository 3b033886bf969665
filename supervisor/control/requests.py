"""The requests that clients mean by ids of their own. An id has one meaning for each client, and editor or owner."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.model import ProcessIdentity
from ..engine.operations.outcomes import KEPT, KEPT_S
from ..errors import InvalidParams, NotFound
from ..values import frozen
from ..wire.messages.session import ClientInfo

UNNAMED = "a client"
"""The name of a client that has not said hello, which is optional on the unix socket."""

SWEPT_AT = 1000
"""Number of ids from which on those that the engine no longer knows are forgotten."""

CALLERS = 8
"""For each request, so many of the latest connections that sent it are remembered."""

NOT_COMPARED = ("request", "editor", "owner")
"""Fields that are compared apart: the id, and for which editor or owner the client asks."""


class Caller:
    """The client at the other end of a connection. `gone` tells that the connection has ended."""

    def __init__(self) -> None:
        self.who = UNNAMED
        self.instance: str | None = None
        self.gone = False

    def introduce(self, client: ClientInfo) -> None:
        """Note what the client said of itself in `hello`."""
        self.who = f"{client.name} {client.version}"
        self.instance = client.instance

    def is_(self, other: "Caller") -> bool:
        """Return whether both are one client, on any connection: by its instance, or by its name if it has none."""
        return self is other or (self.instance, self.instance or self.who) == (
            other.instance,
            other.instance or other.who,
        )


@frozen
class RequestScope:
    """The editor or owner that a client asks for. `names` are the ways in which the frame named it.

    Its process may have ended. Without names, the client asks for itself.
    """

    names: frozenset[str] = frozenset()
    process: ProcessIdentity | None = None

    def is_(self, other: "RequestScope") -> bool:
        """Return whether both are the same. Processes come first, because an editor's id or a pid may be reused."""
        if self.process is not None and other.process is not None:
            return self.process == other.process
        return not self.names.isdisjoint(other.names) or not (self.names or other.names)


@dataclass(eq=False)
class RequestMeaning:
    """The request behind an id. `name` is the engine's name for it."""

    name: str
    scope: RequestScope
    operation: str
    params: Mapping[str, Any]
    callers: list[Caller] = field(default_factory=list)


class Requests:
    """The ids that clients have chosen. `known` returns whether the engine still knows a request by its name."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._meanings: dict[str, list[RequestMeaning]] = {}
        self._arriving: set[str] = set()

    def begin(self, request: str, caller: Caller, scope: RequestScope, operation: str, params: Any) -> RequestMeaning:
        """Return the meaning of a request that has arrived: a new one, or that of the same request sent before.

        Raises:
            InvalidParams: this client has used the id for a different request, or for another editor or owner.
        """
        asked = {name: value for name, value in vars_of(params).items() if name not in NOT_COMPARED}
        for meaning in self._living(request):
            if bool(meaning.scope.names) != bool(scope.names):
                if self._made(meaning, caller):
                    before = _described(meaning)
                    raise InvalidParams("request", f"{request!r} was {before}, not {_for(scope)}", hint=HINT)
                continue
            if not meaning.scope.is_(scope):
                continue
            if not (scope.names or self._made(meaning, caller) or self._comes_back(meaning, caller)):
                continue
            self._refuse_another(request, meaning, operation, asked)
            if not self._made(meaning, caller):
                meaning.callers = [*meaning.callers[1 - CALLERS :], caller]
            return meaning
        meaning = RequestMeaning(self._free_name(request), scope, operation, asked, [caller])
        self._meanings.setdefault(request, []).append(meaning)
        if len(self._meanings) > SWEPT_AT:
            for other in list(self._meanings):
                self._living(other)
        return meaning

    def arrives(self, meaning: RequestMeaning) -> None:
        """Keep a request that is on its way to the engine, which does not know it yet."""
        self._arriving.add(meaning.name)

    def arrived(self, meaning: RequestMeaning) -> None:
        """Note that the engine has answered the request, or knows it."""
        self._arriving.discard(meaning.name)

    def find(self, request: str, caller: Caller, scope: RequestScope) -> str:
        """Return the engine's name for a request whose outcome a client wants, or that a client cancels.

        Raises:
            NotFound: this client has made no such request.
            InvalidParams: this client has made several, for different editors or owners.
        """
        living = self._living(request)
        if scope.names:
            found = [meaning for meaning in living if meaning.scope.is_(scope)]
        else:
            found = [meaning for meaning in living if self._made(meaning, caller)]
            found = found or [meaning for meaning in living if self._comes_back(meaning, caller)]
        if len(found) > 1:
            several = " and ".join(_described(meaning) for meaning in found)
            raise InvalidParams("request", f"{request!r} was {several}", hint="say which: editor or owner")
        if found:
            return found[0].name
        if not living and self._known(request):
            # The daemon's own name for the request, which no other request has.
            return request
        raise NotFound(f"no request {request!r} of this client", hint=FORGOTTEN)

    @staticmethod
    def _made(meaning: RequestMeaning, caller: Caller) -> bool:
        """Return whether the request came on this very connection."""
        return any(each is caller for each in meaning.callers)

    @staticmethod
    def _comes_back(meaning: RequestMeaning, caller: Caller) -> bool:
        """Return whether this is the client that made the request, on another connection.

        Two clients without an instance may have the same name, so a client whose old connection is still open is not
        taken for one that comes back.
        """
        same = [each for each in meaning.callers if each.is_(caller)]
        return bool(same) and (caller.instance is not None or all(each.gone for each in same))

    def _living(self, request: str) -> list[RequestMeaning]:
        """Return the meanings of an id, newest first. Those that the engine has forgotten are forgotten here too."""
        known = [m for m in self._meanings.get(request, ()) if m.name in self._arriving or self._known(m.name)]
        if known:
            self._meanings[request] = known
        else:
            self._meanings.pop(request, None)
        return known[::-1]

    def _free_name(self, request: str) -> str:
        taken: Collection[str] = {m.name for meanings in self._meanings.values() for m in meanings} | self._arriving
        name, number = request, 1
        while name in taken or self._known(name):
            number += 1
            name = f"{request}~{number}"
        return name

    @staticmethod
    def _refuse_another(request: str, meaning: RequestMeaning, operation: str, asked: Mapping[str, Any]) -> None:
        if meaning.operation != operation:
            raise InvalidParams("request", f"{request!r} was {meaning.operation}", hint=HINT)
        other = [name for name in asked if asked[name] != meaning.params[name]]
        if other:
            differences = ", ".join(f"{name} {meaning.params[name]!r}, not {asked[name]!r}" for name in other)
            raise InvalidParams("request", f"{request!r} was {operation} with {differences}", hint=HINT)


FORGOTTEN = f"name the editor or owner it was made for; outcomes are kept for {KEPT_S:g} s, at most {KEPT}"
HINT = "choose another id for another request"


def vars_of(params: Any) -> dict[str, Any]:
    """Return the fields of a message."""
    return {name: getattr(params, name) for name in type(params).__dataclass_fields__}


def _for(scope: RequestScope) -> str:
    return f"for {' or '.join(sorted(scope.names))}" if scope.names else "for no editor or owner"


def _described(meaning: RequestMeaning) -> str:
    return f"{meaning.operation} {_for(meaning.scope)}"
