"""A client, a daemon and servers around one conversation, in virtual time. Every choice comes from one seed."""

import json
import random
from typing import Any

from supervisor.mcp.core.conversation import Conversation
from supervisor.mcp.core.events_and_actions import (
    AbortExchange,
    Action,
    BeginCall,
    BeginExchange,
    ClientSentLine,
    DeadlineReached,
    EndCall,
    EnsureFailed,
    EnsureServer,
    EnsureSucceeded,
    Event,
    ExamineEditors,
    ExchangeEnded,
    FailExchange,
    Problem,
    SendToClient,
    ServerGone,
    ServerLeaving,
    ServerReady,
    ServerSentMessage,
)
from supervisor.mcp.core.servers import Outcome, Server
from tests.mcp.simulation.editors import ARGUMENT, OURS, PIN, TOOLS, Editors, PromiseBrokenError
from tests.mcp.simulation.records import Asked, Exchange, ServerProcess

MODERN = "2026-07-28"


class World:
    """Everything around the conversation. `step` does one thing; `settle` lets everything come to an end."""

    def __init__(self, seed: int, *, modern: bool = False) -> None:
        self.random = random.Random(seed)
        self.now = 1000.0
        self.modern = modern
        is_pinned, gate = self.random.random() < 0.7, self.random.choice(["off", "serialize"])
        self.editors = Editors(self.random, is_pinned, gate)
        self.steps = 0
        self.core = Conversation("small", "ours", None, self.now, project=OURS)
        self.asked: dict[Any, Asked] = {}
        self.server_processes: list[ServerProcess] = []
        self.exchanges: dict[int, Exchange] = {}
        self.announced_number: int | None = None
        """The server that the conversation was told of last. None if its end was told since."""
        self.open_ensure_calls = 0
        """Calls of `server.ensure` that are not answered."""
        self.ensure_calls_at: list[float] = []
        self.server_requests: dict[Any, str] = {}
        """Requests that servers ask, as the client has them, and their fate: open, answered, cancelled."""
        self.senders: dict[Any, ServerProcess | None] = {}
        """The servers that have sent these requests."""
        self.sending_server: ServerProcess | None = None
        self.level: Any = None
        self.count = 0
        self.is_settling = False
        """Whether no further fault happens."""
        self.send(self.request("initialize" if not modern else "server/discover", {}))

    # --- the client ---

    def request(self, method: str, params: dict[str, Any], tool: str = "") -> dict[str, Any]:
        self.count += 1
        identifier = self.random.choice([self.count, f"c{self.count}"])
        self.asked[identifier] = Asked(identifier, method, tool, self.now, step=self.steps)
        if self.modern:
            params = {**params, "_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}
        elif method == "initialize":
            params = {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "sim", "version": "1"},
            }
        return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}

    def send(self, message: dict[str, Any]) -> None:
        self.feed(ClientSentLine(json.dumps(message).encode()))

    def call(self) -> None:
        tool = self.random.choice(["write", "write", "look"])
        arguments: dict[str, Any] = {"word": self.count}
        chance = self.random.random()
        if chance < 0.3:
            sessions = [row["id"] for row in self.editors.rows()]
            arguments[ARGUMENT] = self.random.choice(["", None, *sessions])
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if self.random.random() < 0.3:
            params["_meta"] = {"progressToken": self.count}
        message = self.request("tools/call", params, tool)
        self.asked[message["id"]].given = arguments.get(ARGUMENT)
        self.send(message)

    def cancel(self) -> None:
        if self.asked:
            asked = self.random.choice(list(self.asked.values()))
            asked.cancelled = asked.cancelled or asked.answer is None
            notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": asked.id}}
            self.send(notice)

    def answer_server(self) -> None:
        for identifier, fate in self.server_requests.items():
            if fate == "open" or self.random.random() < 0.1:
                self.server_requests[identifier] = "answered" if fate == "open" else fate
                self.send({"jsonrpc": "2.0", "id": identifier, "result": {"to": identifier}})
                return

    def set_level(self) -> None:
        self.level = self.random.choice(["debug", "info"])
        self.send(self.request("logging/setLevel", {"level": self.level}))

    # --- the daemon and the servers ---

    def start_server(self) -> Server:
        if not self.server_processes or not self.server_processes[-1].alive:
            self.editors.lose_sessions()
            self.server_processes.append(ServerProcess(len(self.server_processes) + 1))
        self.announced_number = self.server_processes[-1].number
        pin = PIN if self.editors.is_pinned else None
        return Server(self.announced_number, "1.0", "small", self.editors.gate, pin)

    def announce_server(self) -> None:
        """Let the events of the daemon say that a server is there, as they do when another program has started it."""
        self.feed(ServerReady(self.start_server()))

    def kill_server(self) -> None:
        if self.server_processes:
            self.server_processes[-1].alive = False

    def report_end(self) -> None:
        if self.announced_number is not None and not self.server_processes[self.announced_number - 1].alive:
            dead, self.announced_number = self.server_processes[self.announced_number - 1], None
            self.feed(self.random.choice([ServerGone, ServerGone, ServerLeaving])(dead.number))
            if not self.is_settling and self.random.random() < 0.2:
                # News that are out of date.
                self.feed(self.random.choice([ServerGone, ServerLeaving])(self.random.randint(1, dead.number)))
            asked = [
                ours for ours, fate in self.server_requests.items() if self.senders[ours] is dead and fate == "open"
            ]
            if asked:
                raise PromiseBrokenError("what an ended session has asked is not cancelled")

    def answer_ensure(self) -> None:
        if not self.open_ensure_calls:
            return
        self.open_ensure_calls -= 1
        if not self.is_settling and self.random.random() < 0.3:
            retryable = self.random.random() < 0.7
            self.feed(EnsureFailed(Problem("BUSY" if retryable else "INSTALL_FAILED", "no", retryable=retryable)))
            return
        self.feed(EnsureSucceeded(self.start_server()))

    def answer_shell(self) -> None:
        """Answer an examination of editors, or judge a call."""
        for answer in (self.editors.examine, lambda: self.editors.judge_call(certain=self.is_settling)):
            event = answer()
            if event is not None:
                self.feed(event)

    def change_editors(self) -> None:
        self.random.choice([self.editors.open_editor, self.editors.close_editor])()
        if self.random.random() < 0.5:
            self.feed(self.editors.news())

    def forget_sessions(self) -> None:
        if self.server_processes:
            self.server_processes[-1].sessions.clear()

    # --- exchanges ---

    def advance_exchange(self) -> None:
        if not self.exchanges:
            return
        exchange = self.random.choice(list(self.exchanges.values()))
        chance = 1.0 if self.is_settling else self.random.random()
        if not exchange.server.alive or exchange.is_failing:
            self.end_exchange(exchange, Outcome.LOST if exchange.received or chance < 0.1 else Outcome.NOT_SENT)
        elif chance < 0.03:
            self.end_exchange(exchange, Outcome.LOST)
        elif exchange.received:
            self.continue_exchange(exchange, chance)
        elif chance < 0.06:
            self.refuse_exchange(exchange, self.random.choice([401, 503, 500, 400]))
        else:
            self.receive_request(exchange)

    def refuse_exchange(self, exchange: Exchange, status: int) -> None:
        del self.exchanges[exchange.number]
        asked = self.request_in(exchange)
        if asked is not None:
            asked.statuses.add(status)
            asked.uncertain = asked.uncertain or status == 500
        retry = 0.2 if status == 503 else None
        self.feed(ExchangeEnded(exchange.number, Outcome.REFUSED, status, b"no", retry))

    def end_exchange(self, exchange: Exchange, outcome: Outcome) -> None:
        del self.exchanges[exchange.number]
        asked = self.request_in(exchange)
        if asked is not None and outcome in (Outcome.LOST, Outcome.INVALID, Outcome.COMPLETE):
            asked.uncertain = True
        self.feed(ExchangeEnded(exchange.number, outcome, 200))

    def continue_exchange(self, exchange: Exchange, chance: float) -> None:
        if exchange.action.method == "GET":
            if chance < 0.3:
                self.send_from_server(exchange, {"method": "notifications/message", "params": {"data": "x"}})
        elif exchange.answer is not None and chance < 0.12:
            self.feed(ServerSentMessage(exchange.number, b"{garbage", exchange.session))
        elif (
            exchange.answer is not None
            and chance < 0.3
            and not self.modern
            and exchange.session in exchange.server.sessions
        ):
            asked = len(exchange.server.asked)
            exchange.server.asked[asked] = str(exchange.session)
            self.send_from_server(exchange, {"id": asked, "method": "roots/list"})
        elif exchange.answer is not None:
            answer, exchange.answer = exchange.answer, None
            self.send_from_server(exchange, answer)
        else:
            self.end_exchange(exchange, Outcome.COMPLETE)

    def send_from_server(self, exchange: Exchange, message: dict[str, Any]) -> None:
        self.sending_server = exchange.server
        self.feed(
            ServerSentMessage(exchange.number, json.dumps({"jsonrpc": "2.0", **message}).encode(), exchange.session)
        )

    def request_in(self, exchange: Exchange) -> Asked | None:
        if not exchange.action.text:
            return None
        message = json.loads(exchange.action.text)
        return self.asked.get(message.get("id")) if "method" in message else None

    def receive_request(self, exchange: Exchange) -> None:
        """Let the server receive a request, and execute what it asks for."""
        server, headers = exchange.server, dict(exchange.action.headers)
        exchange.received = True
        session = exchange.session = headers.get("Mcp-Session-Id")
        if exchange.action.method == "GET":
            return
        message = json.loads(exchange.action.text)
        method = message.get("method")
        if method == "initialize":
            exchange.session = f"{server.number}-{len(server.sessions)}-{self.random.random()}"
            server.sessions[exchange.session] = {"confirmed": False, "level": None}
            exchange.answer = {
                "id": message["id"],
                "result": {"capabilities": {"tools": {}}, "protocolVersion": "2025-11-25"},
            }
            return
        if not self.modern:
            if session not in server.sessions:
                self.refuse_exchange(exchange, 404)
                return
            self.in_session(server.sessions[session], message, str(session), server)
        asked = self.asked.get(message.get("id")) if method is not None else None
        refusal = None
        if asked is not None:
            asked.received += 1
            if asked.tool:
                refusal = self.editors.execute(message["params"]["arguments"], asked.given)
            asked.executed += refusal is None
            self.check_execution(asked)
        if method is None or "id" not in message:
            return
        results: dict[str, Any] = {
            "tools/list": {"tools": TOOLS},
            "server/discover": {"capabilities": {"tools": {}}, "supportedVersions": [MODERN]},
        }
        if asked is None and method == "tools/call":
            results[method] = {"structuredContent": {"sessions": self.editors.rows()}}
        elif refusal is not None:
            results[method] = refusal
        exchange.answer = {
            "id": message["id"],
            "result": results.get(method, {"by": server.number, "of": message["id"]}),
        }

    def in_session(self, session: dict[str, Any], message: dict[str, Any], name: str, server: ServerProcess) -> None:
        method = message.get("method")
        if method == "notifications/initialized":
            session["confirmed"] = True
        elif not session["confirmed"]:
            raise PromiseBrokenError(f"{method} before the session was confirmed")
        if method == "logging/setLevel":
            session["level"] = message["params"]["level"]
        if method is None and server.asked.get(message["id"]) != name:
            raise PromiseBrokenError("an answer reached a session that has not asked")

    def check_execution(self, asked: Asked) -> None:
        limit = 1 if asked.tool == "write" else 2
        if asked.tool and asked.executed > limit:
            raise PromiseBrokenError(f"{asked.tool} was executed {asked.executed} times")

    # --- the conversation ---

    def feed(self, event: Event) -> None:
        if self.core.deadline <= self.now and not isinstance(event, DeadlineReached):
            self.feed(DeadlineReached())
        for action in self.core.receive(event, self.now):
            self.perform(action)

    def perform(self, action: Action) -> None:
        match action:
            case SendToClient(text):
                self.check_line(json.loads(text))
                if b"\n" in text:
                    raise PromiseBrokenError("a message on two lines")
            case BeginExchange(exchange, server):
                begun = self.exchanges[exchange] = Exchange(exchange, self.server_processes[server - 1], action)
                asked = self.request_in(begun)
                if asked is not None and asked.tool:
                    self.editors.check_sent(asked.tool)
            case AbortExchange(exchange):
                asked = self.request_in(self.exchanges.pop(exchange))
                if asked is not None:
                    asked.uncertain = True
            case FailExchange(exchange):
                self.exchanges[exchange].is_failing = True
            case ExamineEditors() | BeginCall() | EndCall():
                self.editors.perform(action)
            case EnsureServer():
                self.count_ensure_call()

    def count_ensure_call(self) -> None:
        self.open_ensure_calls += 1
        self.ensure_calls_at = [at for at in self.ensure_calls_at if at > self.now - 1] + [self.now]
        if self.open_ensure_calls > 1 or len(self.ensure_calls_at) > 60:
            raise PromiseBrokenError("the daemon is asked too often")

    def check_line(self, message: dict[str, Any]) -> None:
        method, identifier = message.get("method"), message.get("id")
        if method is None:
            self.check_answer_of(identifier, message)
        elif identifier is not None:
            if identifier in self.server_requests:
                raise PromiseBrokenError("two requests of servers under one id")
            self.server_requests[identifier] = "open"
            self.senders[identifier] = self.sending_server
        elif method == "notifications/cancelled":
            cancelled = message["params"]["requestId"]
            if self.server_requests.get(cancelled) == "cancelled" or cancelled not in self.server_requests:
                raise PromiseBrokenError("a request of a server was cancelled twice, or never asked")
            self.server_requests[cancelled] = "cancelled"

    def check_answer_of(self, identifier: Any, message: dict[str, Any]) -> None:
        if identifier is None:
            return
        asked = self.asked.get(identifier)
        if asked is None:
            raise PromiseBrokenError(f"an answer to {identifier}, which the client has not asked")
        if asked.answer is not None or asked.cancelled:
            raise PromiseBrokenError(f"a second answer to {identifier}, or one after its cancellation")
        asked.answer = message
        self.check_answer(asked, message)

    def check_answer(self, asked: Asked, message: dict[str, Any]) -> None:
        result = message.get("result", {})
        if asked.tool and "by" in result and (result["of"] != asked.id or not asked.executed):
            raise PromiseBrokenError("an answer of another request")
        code = result.get("structuredContent", {}).get("error", {}).get("code")
        if code == "OUTCOME_UNKNOWN" and not asked.uncertain:
            raise PromiseBrokenError("an outcome is called unknown that is known")
        if code == "EDITOR_CLOSED" and self.editors.has_session_since(asked.step):
            raise PromiseBrokenError("an editor is called closed that is open")
        if code == "SERVER_REFUSED" and 400 not in asked.statuses:
            raise PromiseBrokenError("a call is refused that could be sent again")
        if code not in (None, "OUTCOME_UNKNOWN") and asked.tool == "write" and asked.executed:
            raise PromiseBrokenError(f"a call that was executed is answered with {code}")

    # --- time ---

    def wait(self) -> None:
        pause = self.random.choice([0.01, 0.3, 2.0, 12.0])
        due = self.core.deadline
        self.now = min(self.now + pause, max(due, self.now))
        self.feed(DeadlineReached())
        self.check_time()

    def check_time(self) -> None:
        for asked in self.asked.values():
            in_exchange = any(self.request_in(exchange) is asked for exchange in self.exchanges.values())
            waits = asked.answer is None and not asked.cancelled and not in_exchange
            if waits and self.now - asked.at > 400:
                raise PromiseBrokenError(f"{asked.method} has waited for {self.now - asked.at:.0f} s")

    def step(self) -> None:
        """Do one thing."""
        self.steps += 1
        many = sum(1 for each in self.asked.values() if each.answer is None and not each.cancelled) > 6
        moves = [
            *([self.advance_exchange] * 10),
            *([self.wait] * 2),
            *([] if many else [self.call] * 3),
            *([] if many else [lambda: self.send(self.request("tools/list", {}))]),
            *([] if many or self.modern else [self.set_level, self.answer_server]),
            self.cancel,
            *([self.answer_ensure] * 2),
            *([self.answer_shell] * 4),
            lambda: self.editors.connect(self.steps),
            *([self.change_editors] if self.random.random() < 0.2 else []),
            self.report_end,
            *([self.announce_server] if self.random.random() < 0.3 else []),
            *([self.kill_server] if self.random.random() < 0.3 else []),
            *([self.forget_sessions] if self.random.random() < 0.1 else []),
            lambda: self.send(self.request("ping", {})),
        ]
        self.random.choice(moves)()

    def settle(self) -> None:
        """Let everything come to an end, in a world without further faults, and then once more at another server."""
        self.is_settling = True
        self.answer_everything()
        self.kill_server()
        self.editors.open_editor(OURS)
        self.feed(self.editors.news())
        self.call()
        self.answer_everything()
        self.check_level()
        self.check_calls()

    def check_calls(self) -> None:
        """Check that the last call was executed, because its editor was open, and that no call goes on."""
        last = list(self.asked.values())[-1]
        if last.answer is None or ("by" not in last.answer.get("result", {}) and not last.given):
            raise PromiseBrokenError(f"the last call is answered by {last.answer}")
        if self.editors.calls:
            raise PromiseBrokenError(f"calls never end: {self.editors.calls}")

    def check_level(self) -> None:
        """Check that the session at the last server has the log level that the client has set."""
        while exchanges := [each for each in self.exchanges.values() if each.action.method != "GET"]:
            self.receive_request(exchanges[0]) if not exchanges[0].received else self.continue_exchange(exchanges[0], 1)
        levels = [session["level"] for session in self.server_processes[-1].sessions.values()]
        if not self.modern and levels != [self.level]:
            raise PromiseBrokenError(f"the level is {self.level}, and that of the sessions is {levels}")

    def answer_everything(self) -> None:
        """Do what is possible until each request is answered or cancelled."""
        for _ in range(3000):
            self.report_end()
            self.answer_ensure()
            self.answer_shell()
            self.editors.connect(self.steps)
            self.advance_exchange()
            waiting = [each for each in self.asked.values() if each.answer is None and not each.cancelled]
            if not waiting:
                return
            if (
                not self.open_ensure_calls
                and not self.editors.has_work
                and not any(each.action.method != "GET" for each in self.exchanges.values())
            ):
                self.now = max(self.now, min(self.core.deadline, self.now + 60))
                self.feed(DeadlineReached())
        raise PromiseBrokenError(f"never answered: {[(each.id, each.method) for each in waiting]}")
