"""The requests of the client that have not been answered, each exactly once."""

from collections.abc import Iterator

from .client_request import ClientRequest
from .events_and_actions import Id, Text
from .outbox import Outbox

NEVER = float("inf")


class RequestTable:
    """Unanswered requests by id, the oldest first."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._requests: dict[Id, ClientRequest] = {}

    def __contains__(self, identifier: object) -> bool:
        """Return whether a request with this id is unanswered."""
        return identifier in self._requests

    def __len__(self) -> int:
        """Return the number of unanswered requests."""
        return len(self._requests)

    def add(self, request: ClientRequest) -> None:
        """Add a request."""
        self._requests[request.id] = request

    def has(self, request: ClientRequest) -> bool:
        """Return whether this very request is unanswered, and not another one with the same id."""
        return self._requests.get(request.id) is request

    def held(self) -> Iterator[ClientRequest]:
        """Yield the requests that wait for a server. Requests may be answered during the iteration."""
        return (request for request in list(self._requests.values()) if request.is_held and self.has(request))

    def waiting_for_server(self) -> Iterator[ClientRequest]:
        """Yield the requests that wait for a server, and not for the project. Compare `held`."""
        return (request for request in self.held() if not request.waits_for_project)

    def all(self) -> list[ClientRequest]:
        """Return all requests."""
        return list(self._requests.values())

    def answer(self, request: ClientRequest, text: Text) -> None:
        """Send the client the answer to a request, and remove the request."""
        del self._requests[request.id]
        self._outbox.send_to_client(text)

    def remove(self, identifier: Id) -> ClientRequest | None:
        """Remove a request, and return it. Returns None if there is none with this id."""
        return self._requests.pop(identifier, None)

    def deadline(self, now: float) -> float:
        """Return when something is due for one of the requests.

        `now` is needed because pauses that are over do not count.
        """
        times = [request.deadline for request in self._requests.values()]
        times += [each.not_before for each in self._requests.values() if each.is_held and each.not_before > now]
        return min(times, default=NEVER)
