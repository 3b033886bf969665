"""Editors: they attach, detach, are busy, and are forgotten after their end."""

import asyncio
from dataclasses import replace

from ...core.model import (
    ClientName,
    Editor,
    Liveness,
    Occupant,
    Occupation,
    Ownership,
    ProcessIdentity,
    ServerRecord,
    ServerState,
)
from ...core.processes.godot import is_editor
from ...core.single_flight import OperationRequest
from ...errors import Busy, EditorGone, InvalidParams, NotFound, NotOurs
from ...native.lane import Lane
from ...values import frozen
from ..state.context import EngineContext
from ..state.exit_watches import ExitWatches
from ..state.names import canonical_project, name_of, new_client_id, new_editor_id

FIRST_PID = 1
"""A process that has lost its parent gets this one as its parent. It outlives every server. In a container it may be
the editor itself.
"""

NAME_TIMEOUT_S = 1.0
"""How long to look for a program's name, because reading a process that hangs in the kernel does not return."""


@frozen
class Arrival:
    """An editor, an owner of servers or an AI client, as it attaches. `seen` is what the system tells about its pid.

    `is_owner`: the process is named as an owner, and may have said before that it is an AI client.
    """

    pid: int
    start_token: str | None = None
    project: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    name: str | None = None
    seen: Occupant | None = None
    client: ClientName | None = None
    is_owner: bool = False


class Editors:
    """Attaches and detaches editors. `exit_watches` knows the processes whose exit would have been noticed."""

    def __init__(self, context: EngineContext, exit_watches: ExitWatches) -> None:
        self._exit_watches = exit_watches
        self._drop_scheduled = False
        self._records = context.records
        self._me = context.me
        self._probe = context.platform.probe
        self._clock = context.platform.clock
        self._lanes = context.platform.lanes
        self._events = context.events

    async def describe(self, arrival: Arrival) -> Arrival:
        """Return the arrival with what the system tells about its pid, if the editor has no name yet.

        The look runs off the loop, and proves nothing.
        """
        if arrival.name is not None or self._is_named(arrival.pid):
            return arrival
        try:
            async with asyncio.timeout(NAME_TIMEOUT_S):
                return replace(
                    arrival, seen=await self._lanes.look(self._probe.describe, arrival.pid, lane=Lane.STARTING)
                )
        except TimeoutError:
            return arrival

    def _is_named(self, pid: int) -> bool:
        return any(
            editor.process.pid == pid
            and editor.name is not None
            and self._probe.sample(editor.process) is not Liveness.DEAD
            for editor in self._records.editors.values()
        )

    def register_arrival(self, arrival: Arrival) -> tuple[Editor, list[ServerRecord]]:
        """Return the editor of an arrival, and the servers that it inherits from an editor that was leaving.

        Raises:
            EditorGone, InvalidParams: the pid is no living process of this user, or the project does not exist.
        """
        identity = self._prove(arrival)
        project = canonical_project(arrival.project)
        known = next((e for e in self._records.editors.values() if e.process == identity), None)
        client = arrival.client
        if known is None:
            editor = Editor(
                id=new_client_id(self._records, client) if client else new_editor_id(self._records, project),
                process=identity,
                project=project,
                started_at=self._probe.started_at(identity),
                engine=arrival.engine,
                engine_version=arrival.engine_version,
                name=arrival.name or _program_name(arrival, identity),
                client=client,
            )
            if client is None:
                self._events.publish("editor.attached", editor=editor.id, pid=identity.pid, project=project)
        else:
            if client is not None and known.client is None and known.engine is not None:
                raise InvalidParams("pid", f"process {identity.pid} is the editor {known.id}", hint="pass your own pid")
            editor = replace(
                known,
                project=project or known.project,
                engine=arrival.engine or known.engine,
                engine_version=arrival.engine_version or known.engine_version,
                name=arrival.name or known.name,
                client=client or (known.client if arrival.is_owner else None),
            )
        self._records.put_editor(editor)
        return editor, self._inherit(editor)

    def register_departure(self, editor_id: str, *, at_once: bool) -> tuple[Editor, list[ServerRecord]]:
        """Note that an editor has detached, and return it with the servers that it owned.

        Its servers linger; with `at_once` the editor stops owning them now. The editor is no longer busy, because
        nothing would tell when that ends.

        Raises:
            NotFound: no such editor.
        """
        editor = self._records.put_editor(replace(self._records.editor(editor_id), occupation=None))
        now = self._clock.monotonic()
        left = []
        for record in self._records.owned_by(editor_id):
            if record.observed_only:
                # The environment of a found server names its owner, for as long as the owner lives.
                continue
            # A repeated detach counts from the first one.
            owners = tuple(
                replace(owner, leaving_since=now) if owner.editor == editor_id and not owner.leaving else owner
                for owner in record.owners
                if not (at_once and owner.editor == editor_id)
            )
            left.append(self._records.set_claims(record.id, owners=owners))
        self._events.publish("editor.detached", editor=editor_id, at_once=at_once, servers=[r.id for r in left])
        return editor, left

    def release_server(self, server_id: str, editor_id: str) -> ServerRecord:
        """Take an editor from the owners of a server.

        Raises:
            NotFound: no such server or editor, or it does not own it.
            NotOurs: the server was found, and not asked for.
        """
        record, editor = self._records.server(server_id), self._records.editor(editor_id)
        if record.observed_only:
            raise NotOurs(
                f"{server_id} was found, not asked for: its owner is in its environment", hint="adopt it first"
            )
        others = tuple(owner for owner in record.owners if owner.process != editor.process)
        if len(others) == len(record.owners):
            raise NotFound(f"{editor_id} does not own {server_id}", hint="its servers are in its entry of `status`")
        self._events.publish("server.released", server=server_id, editor=editor_id)
        return self._records.set_claims(server_id, owners=others)

    def occupy(self, editor_id: str, reason: str | None, ttl_s: float) -> Editor:
        """Mark an editor as busy for a time; without a reason, end that time.

        Raises:
            NotFound: no such editor.
        """
        editor = self._records.editor(editor_id)
        now = self._clock.monotonic()
        before = editor.busy(now)
        occupation = None
        if reason is not None:
            occupation = Occupation(reason, before.since if before else now, now + ttl_s)
        # A repeated call changes only the end of the time.
        if reason != (before.reason if before else None):
            state, until = ("ready", None) if reason is None else ("busy", ttl_s)
            self._events.publish("editor.state", editor=editor_id, state=state, reason=reason, ttl_s=until)
        return self._records.put_editor(replace(editor, occupation=occupation))

    def refuse_to_disturb(self, record: ServerRecord, editor_id: str | None, request: OperationRequest) -> None:
        """Refuse a request that would disturb a busy owner of a server. `editor_id` is the editor that asks, if any.

        Raises:
            Busy: names the editor, and the reason.
        """
        now = self._clock.monotonic()
        for owner in record.owners:
            editor = self._records.editors.get(owner.editor)
            occupation = editor.busy(now) if editor else None
            if editor is None or occupation is None or owner.leaving or editor.id == editor_id:
                continue
            if self._probe.sample(editor.process) is Liveness.DEAD:
                continue
            elapsed_ms = round((now - occupation.since) * 1000)
            running = {"method": "editor.state", "request": None, "holder": editor.id, "elapsed_ms": elapsed_ms}
            raise Busy(
                f"{editor.id} is busy: {occupation.reason}",
                hint="try again later, or force it",
                retry_after_ms=round(max(0.0, occupation.until - now) * 1000),
                data={"running": running, "requested": request.operation.value, "reason": occupation.reason},
            )

    def drop_dead_editors_soon(self) -> None:
        """Drop the editors that have ended and own nothing. All calls in one loop iteration share one pass."""
        if not self._drop_scheduled:
            self._drop_scheduled = True
            asyncio.get_running_loop().call_soon(self._drop_dead_editors)

    def _drop_dead_editors(self) -> None:
        self._drop_scheduled = False
        for editor in list(self._records.editors.values()):
            idle = self._records.owns_nothing(editor.id) and not self._exit_watches.is_watched(editor.process)
            if idle and self._probe.sample(editor.process) is Liveness.DEAD:
                self._records.drop_editor(editor.id)

    def _prove(self, arrival: Arrival) -> ProcessIdentity:
        """Return the process of an arrival, if it can be an owner.

        Raises:
            EditorGone, InvalidParams: the pid is no living process of this user that may own a server.
        """
        if arrival.pid <= 0:
            raise InvalidParams("pid", f"{arrival.pid} is no process", hint="pass the editor's own pid")
        try:
            identity = self._probe.identify(arrival.pid)
            why_no_process = None if identity is None else self._probe.why_no_process(arrival.pid)
        except OSError as error:
            raise InvalidParams("pid", f"the system does not tell about {arrival.pid}: {error}") from error
        if why_no_process is not None:
            raise InvalidParams("pid", why_no_process, hint="pass the editor's own pid")
        if identity is not None and identity == self._me:
            raise InvalidParams("pid", f"{arrival.pid} is this daemon itself", hint="pass the editor's own pid")
        if arrival.pid == FIRST_PID and identity is not None and not is_editor(self._probe.describe(FIRST_PID).command):
            problem = "the first process of the system outlives every server"
            raise InvalidParams("pid", problem, hint="pass the editor's own pid, or no owner")
        if identity is None:
            raise EditorGone(
                f"pid: no process {arrival.pid} lives", hint="pass the editor's own pid", data={"field": "pid"}
            )
        servers = self._records.find_by_process(identity)
        if servers:
            raise InvalidParams("pid", f"process {arrival.pid} is the server {servers[0].id} itself")
        if arrival.start_token is not None and arrival.start_token != identity.start_token:
            problem = f"process {arrival.pid} is another process for the daemon than for the program that names it"
            hint = "the two see different processes (a container or sandbox?): name it by the daemon's number"
            raise InvalidParams("start_token", problem, hint=hint)
        if self._probe.same_user(identity) is False:
            raise InvalidParams("pid", f"process {arrival.pid} belongs to another user", hint="pass a pid of yours")
        return identity

    def _inherit(self, editor: Editor) -> list[ServerRecord]:
        """Own again the servers that this process has left, and those of editors of the project that left or ended."""
        inherited = []
        for record in list(self._records.servers.values()):
            left = [owner for owner in record.owners if self._comes_back(owner, editor)]
            if left and not record.observed_only and record.state is not ServerState.STOPPING:
                others = tuple(owner for owner in record.owners if owner not in left and owner.editor != editor.id)
                owners = (*others, Ownership(editor.id, editor.process))
                inherited.append(self._records.set_claims(record.id, owners=owners))
                self._events.publish("server.inherited", server=record.id, editor=editor.id)
        return inherited

    def _comes_back(self, owner: Ownership, editor: Editor) -> bool:
        """Return whether an attached editor is a detached owner, or has the project open of one that left or ended.

        An AI client takes over no servers, because it gets those that it asks for, and leaves none to an editor.
        """
        if owner.process == editor.process:
            return owner.leaving
        before = self._records.editors.get(owner.editor)
        if editor.client is not None or editor.project is None or before is None or before.project != editor.project:
            return False
        has_ended = before.client is None and self._probe.sample(owner.process) is Liveness.DEAD
        return owner.leaving or has_ended


def _program_name(arrival: Arrival, identity: ProcessIdentity) -> str | None:
    """Return the name of the program that attaches, because an owner need not be a Godot editor."""
    seen = arrival.seen
    return name_of(seen) if seen is not None and seen.identity == identity else None
