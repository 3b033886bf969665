"""Which request a client means by an id of its own: one id, one meaning, for whoever asks. Two clients never meet."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.model import ProcessIdentity
from ..engine.operations.coordinator import KEPT, KEPT_S
from ..errors import InvalidParams, NotFound
from ..values import frozen
from ..wire.messages.session import ClientInfo

UNNAMED = "a client"
"""What a client is called that has not said hello: on the unix socket it need not."""

SWEPT_AT = 1000
"""With so many ids, those that the engine no longer knows are forgotten."""

CALLERS = 8
"""So many of the latest connections that sent a request are remembered."""

NOT_COMPARED = ("request", "editor", "owner")
"""Who asks is compared apart from what for."""


class Caller:
    """The client at the other end of a connection. `gone`: the connection has ended."""

    def __init__(self) -> None:
        self.who = UNNAMED
        self.instance: str | None = None
        self.gone = False

    def introduce(self, client: ClientInfo) -> None:
        """It has said hello."""
        self.who = f"{client.name} {client.version}"
        self.instance = client.instance

    def is_(self, other: "Caller") -> bool:
        """Whether this is the same client, on this connection or another: by its instance, else by its name."""
        return self is other or (self.instance, self.instance or self.who) == (
            other.instance,
            other.instance or other.who,
        )


@frozen
class RequestScope:
    """For whom a client asks: an editor or owner. `names` are the words for it in the frame.

    Its process may have ended. Without names, the client asks for itself.
    """

    names: frozenset[str] = frozenset()
    process: ProcessIdentity | None = None

    def is_(self, other: "RequestScope") -> bool:
        """Whether both are the same. An editor's id, or a pid, may be another's by now."""
        if self.process is not None and other.process is not None:
            return self.process == other.process
        return not self.names.isdisjoint(other.names) or not (self.names or other.names)


@dataclass(eq=False)
class RequestMeaning:
    """What was asked for by one id. `name` is the engine's name for the request."""

    name: str
    whom: RequestScope
    operation: str
    params: Mapping[str, Any]
    callers: list[Caller] = field(default_factory=list)


class Requests:
    """The ids that clients have chosen. `known`: whether the engine still knows a request by its name."""

    def __init__(self, known: Callable[[str], bool]) -> None:
        self._known = known
        self._meanings: dict[str, list[RequestMeaning]] = {}
        self._arriving: set[str] = set()

    def begin(self, request: str, caller: Caller, whom: RequestScope, operation: str, params: Any) -> RequestMeaning:
        """The meaning of a request that has come: a new one, or one that was sent before.

        Raises:
            InvalidParams: by this id, this client has asked for something else, or for somebody else.
        """
        asked = {name: value for name, value in vars_of(params).items() if name not in NOT_COMPARED}
        for meaning in self._living(request):
            if bool(meaning.whom.names) != bool(whom.names):
                if self._made(meaning, caller):
                    raise InvalidParams("request", f"{request!r} was {_whose(meaning)}, not {_for(whom)}", hint=HINT)
                continue
            if not meaning.whom.is_(whom):
                continue
            if not (whom.names or self._made(meaning, caller) or self._comes_back(meaning, caller)):
                continue
            self._refuse_another(request, meaning, operation, asked)
            if not self._made(meaning, caller):
                meaning.callers = [*meaning.callers[1 - CALLERS :], caller]
            return meaning
        meaning = RequestMeaning(self._free_name(request), whom, operation, asked, [caller])
        self._meanings.setdefault(request, []).append(meaning)
        if len(self._meanings) > SWEPT_AT:
            for other in list(self._meanings):
                self._living(other)
        return meaning

    def arrives(self, meaning: RequestMeaning) -> None:
        """It is on its way to the engine, which does not know it yet."""
        self._arriving.add(meaning.name)

    def arrived(self, meaning: RequestMeaning) -> None:
        """The engine has answered it, or knows it by now."""
        self._arriving.discard(meaning.name)

    def find(self, request: str, caller: Caller, whom: RequestScope) -> str:
        """The engine's name for a request that a client wants the outcome of, or no longer wants.

        Raises:
            NotFound: this client has made no such request.
            InvalidParams: it has made several, for different editors or owners.
        """
        living = self._living(request)
        if whom.names:
            found = [meaning for meaning in living if meaning.whom.is_(whom)]
        else:
            found = [meaning for meaning in living if self._made(meaning, caller)]
            found = found or [meaning for meaning in living if self._comes_back(meaning, caller)]
        if len(found) > 1:
            several = " and ".join(_whose(meaning) for meaning in found)
            raise InvalidParams("request", f"{request!r} was {several}", hint="say which: editor or owner")
        if found:
            return found[0].name
        if not living and self._known(request):
            # The daemon's own name for it, which no other request has.
            return request
        raise NotFound(f"no request {request!r} of this client", hint=FORGOTTEN)

    @staticmethod
    def _made(meaning: RequestMeaning, caller: Caller) -> bool:
        """Whether it came by this very connection."""
        return any(each is caller for each in meaning.callers)

    @staticmethod
    def _comes_back(meaning: RequestMeaning, caller: Caller) -> bool:
        """Whether this is the client that made it, on another connection.

        Without an instance, two clients may have one name: one whose connection lives does not come back.
        """
        same = [each for each in meaning.callers if each.is_(caller)]
        return bool(same) and (caller.instance is not None or all(each.gone for each in same))

    def _living(self, request: str) -> list[RequestMeaning]:
        """What the id means, newest first; what the engine has forgotten is forgotten here."""
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
            told = ", ".join(f"{name} {meaning.params[name]!r}, not {asked[name]!r}" for name in other)
            raise InvalidParams("request", f"{request!r} was {operation} with {told}", hint=HINT)


FORGOTTEN = f"say for whom it was made: editor or owner; outcomes are kept for {KEPT_S:g} s, at most {KEPT}"
HINT = "choose another id for another request"


def vars_of(params: Any) -> dict[str, Any]:
    """The fields of a message."""
    return {name: getattr(params, name) for name in type(params).__dataclass_fields__}


def _for(whom: RequestScope) -> str:
    return f"for {' or '.join(sorted(whom.names))}" if whom.names else "for no editor or owner"


def _whose(meaning: RequestMeaning) -> str:
    return f"{meaning.operation} {_for(meaning.whom)}"
