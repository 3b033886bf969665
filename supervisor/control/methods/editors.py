"""The methods of editors and leases: they attach and detach, are busy, and release servers."""

from ...core.model import Editor
from ...engine.attachments import Attachments
from ...engine.claims.editors import Arrival
from ...errors import InvalidParams
from ...wire.messages.common import EditorInfo, LeaseInfo, Server
from ...wire.messages.editors import EditorAttach, EditorDetach, EditorState
from ...wire.messages.leases import LeaseAcquire, LeaseRelease, LeaseRenew
from ...wire.messages.servers import OwnerClaim, ServerRelease
from ..views import Views
from .clients import ai_client
from .table import read


class EditorMethods:
    """Handlers of `editor.*`, `lease.*` and `server.release`."""

    def __init__(self, attachments: Attachments, views: Views) -> None:
        self._attachments = attachments
        self._views = views

    @read("editor.attach")
    async def _attach(self, params: EditorAttach) -> EditorInfo:
        arrival = Arrival(
            params.pid, params.start_token, params.project, params.engine, params.engine_version, params.name
        )
        return self._views.editor(await self._attachments.attach_with_program_name(arrival))

    @read("editor.detach")
    def _detach(self, params: EditorDetach) -> EditorInfo:
        return self._views.editor(self._attachments.detach(params.editor, stop=params.stop))

    @read("editor.state")
    def _editor_state(self, params: EditorState) -> EditorInfo:
        reason = (params.reason or "it does not say why") if params.state == "busy" else None
        return self._views.editor(self._attachments.occupy(params.editor, reason, params.ttl_s))

    @read("server.release")
    def _release(self, params: ServerRelease) -> Server:
        return self._views.server(self._attachments.release_server(params.server, params.editor))

    @read("lease.acquire")
    def _acquire(self, params: LeaseAcquire) -> LeaseInfo:
        return self._views.lease(*self._attachments.acquire_lease(params.server, params.holder, params.ttl_s))

    @read("lease.renew")
    def _renew(self, params: LeaseRenew) -> LeaseInfo:
        return self._views.lease(*self._attachments.renew_lease(params.lease))

    @read("lease.release")
    def _give_back(self, params: LeaseRelease) -> LeaseInfo:
        return self._views.lease(*self._attachments.release_lease(params.lease))


async def attached(attachments: Attachments, claim: OwnerClaim, project: str | None) -> Editor:
    """Attach the process that a request names as owner, and return it.

    Raises:
        InvalidParams: the process cannot be an owner; the field is called as in the request.
    """
    said = claim.client
    try:
        return await attachments.attach_with_program_name(
            Arrival(
                claim.pid,
                claim.start_token,
                claim.project or project,
                name=None if said is None else said.title or said.name,
                client=None if said is None else ai_client(said),
                is_owner=True,
            )
        )
    except InvalidParams as problem:
        text = problem.message.removeprefix(f"{problem.field}: ")
        raise InvalidParams(f"owner.{problem.field}", text, hint=problem.hint) from problem
