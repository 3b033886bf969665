"""The server that the official conformance suite expects, on the Python SDK of MCP, in both eras of the protocol.

suite_server.py PORT

The SDK makes the protocol; this module has the behaviour, and `content` what is fixed. A request that needs the client
keeps no state here: killed and started again, the server goes on where the client is.
"""

import asyncio
import hashlib
import hmac
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parent))

import content

Json = dict[str, Any]

VERSION = version("mcp")
"""The daemon compares it with that of the package."""
MODERN = "2026-07-28"
PAUSE_S = 0.05
RECONNECT_PAUSE_S = 0.2
RETRY_MS = 100
MISSING_CAPABILITY = -32021
INVALID_PARAMS = -32602
SECRET = b"the conformance suite"

bus = InMemorySubscriptionBus()


class Events(EventStore):
    """All events since the start, so that a client can go on where its stream was closed."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: Callable[..., Any]) -> str | None:
        last = int(last_event_id) if last_event_id.isdecimal() else 0
        if not 0 < last <= len(self._events):
            return None
        stream = self._events[last - 1][0]
        for number, (each, message) in enumerate(self._events, 1):
            if number > last and each == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def state_of(name: str, finished_round: int) -> str:
    """Return a state that only this server can have made."""
    said = f"{name}:{finished_round}"
    return f"{said}:{hmac.new(SECRET, said.encode(), hashlib.sha256).hexdigest()}"


def round_of(name: str, state: str | None) -> int:
    """Return the number of rounds that the client has answered, as the state says."""
    if state is None:
        return 0
    for finished in range(len(content.QUESTIONS[name])):
        if hmac.compare_digest(state, state_of(name, finished)):
            return finished
    raise MCPError(INVALID_PARAMS, "the state was not made by this server")


def ask_or_finish(ctx: Any, params: Any) -> Json | None:
    """Return the questions of the next round. Returns None if the client has answered them all."""
    rounds = content.QUESTIONS[params.name]
    answered = params.input_responses or {}
    finished = round_of(params.name, params.request_state)
    if rounds[finished].keys() <= answered.keys():
        finished += 1
        if finished == len(rounds):
            return None
    questions = rounds[finished]
    if params.name.endswith("capabilities"):
        questions = {name: each for name, each in questions.items() if has(ctx, each["method"].partition("/")[0])}
    state = {} if params.name in content.WITHOUT_STATE else {"requestState": state_of(params.name, finished)}
    return {"resultType": "input_required", "inputRequests": questions, **state}


def has(ctx: Any, capability: str) -> bool:
    """Return whether the client has declared a capability."""
    declared = ctx.session.client_capabilities
    return declared is not None and getattr(declared, capability) is not None


def complete_results(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Return the handler. In the modern era its results say that they are complete, unless they say otherwise."""

    async def handle(ctx: Any, params: Any) -> Json:
        result = await handler(ctx, params)
        return {"resultType": "complete", **result} if ctx.protocol_version == MODERN else result

    return handle


async def list_tools(_ctx: Any, _params: Any) -> Json:
    return {"tools": content.TOOLS}


async def call_tool(ctx: Any, params: Any) -> Json:
    name, given = params.name, params.arguments or {}
    if name in content.QUESTIONS:
        asked = ask_or_finish(ctx, params)
        return asked or said(f"Hello, {params.input_responses}: state-ok")
    if name in content.FIXED_RESULTS:
        if name.startswith("test_trigger_"):
            await bus.publish(
                ToolsListChanged() if "tool" in name.removeprefix("test_trigger_") else PromptsListChanged()
            )
        return {"content": content.FIXED_RESULTS[name]}
    if name in content.FORMS:
        message, schema = content.FORMS[name]
        done = await ctx.session.elicit_form(given.get("message", message), schema, ctx.request_id)
        return said(f"User response: action={done.action}, content={done.content}")
    if name not in BEHAVIOURS:
        raise MCPError(INVALID_PARAMS, f"there is no tool {name}")
    return await BEHAVIOURS[name](ctx, given)


def said(text: str) -> Json:
    return {"content": [content.text(text)]}


async def fail(_ctx: Any, _given: Json) -> Json:
    return {"isError": True, **said("This tool intentionally returns an error for testing")}


async def log(ctx: Any, _given: Json) -> Json:
    for step in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", step, related_request_id=ctx.request_id)
        await asyncio.sleep(PAUSE_S)
    return said("Logged.")


async def progress(ctx: Any, _given: Json) -> Json:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
        await asyncio.sleep(PAUSE_S)
    return said("Done.")


async def reconnect(ctx: Any, _given: Json) -> Json:
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await asyncio.sleep(RECONNECT_PAUSE_S)
    return said("Reconnected.")


async def sample(ctx: Any, given: Json) -> Json:
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=given["prompt"]))
    answer = await ctx.session.create_message([question], max_tokens=100, related_request_id=ctx.request_id)
    return said(f"LLM response: {answer.content.text}")


async def need_sampling(ctx: Any, _given: Json) -> Json:
    if not has(ctx, "sampling"):
        raise MCPError(MISSING_CAPABILITY, "sampling is needed", {"requiredCapabilities": {"sampling": {}}})
    return said("The client has it.")


BEHAVIOURS = {
    "test_error_handling": fail,
    "test_tool_with_logging": log,
    "test_logging_tool": log,
    "test_tool_with_progress": progress,
    "test_reconnection": reconnect,
    "test_sampling": sample,
    "test_missing_capability": need_sampling,
}


async def list_resources(_ctx: Any, _params: Any) -> Json:
    listed = [(uri, each["mimeType"]) for uri, each in content.RESOURCES.items()]
    return {"resources": [{"uri": uri, "name": uri, "description": uri, "mimeType": kind} for uri, kind in listed]}


async def list_templates(_ctx: Any, _params: Any) -> Json:
    uri = "test://template/{id}/data"
    return {"resourceTemplates": [{"uriTemplate": uri, "name": "template", "mimeType": "application/json"}]}


async def read_resource(_ctx: Any, params: Any) -> Json:
    uri = str(params.uri)
    if uri.startswith("test://template/") and uri.endswith("/data"):
        number = uri.split("/")[3]
        text = f'{{"id":"{number}","templateTest":true,"data":"Data for ID: {number}"}}'
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": text}]}
    if uri not in content.RESOURCES:
        raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri})
    return {"contents": [{"uri": uri, **content.RESOURCES[uri]}]}


async def list_prompts(_ctx: Any, _params: Any) -> Json:
    prompts = [
        {
            "name": name,
            "description": f"A prompt for the conformance suite: {name}",
            "arguments": [{"name": each, "required": True} for each in arguments],
        }
        for name, arguments in content.PROMPTS.items()
    ]
    return {"prompts": prompts}


async def get_prompt(ctx: Any, params: Any) -> Json:
    if params.name not in content.PROMPTS:
        raise MCPError(INVALID_PARAMS, f"there is no prompt {params.name}")
    asked = ask_or_finish(ctx, params) if params.name in content.QUESTIONS else None
    if asked is not None:
        return asked
    return {
        "messages": [{"role": "user", "content": each} for each in content.prompt(params.name, params.arguments or {})]
    }


async def complete(_ctx: Any, _params: Any) -> Json:
    return {"completion": {"values": ["test-value"], "total": 1, "hasMore": False}}


async def nothing(_ctx: Any, _params: Any) -> Json:
    return {}


async def health(_request: Request) -> JSONResponse:
    return JSONResponse({"name": "suite-server", "version": VERSION})


def main(port: int) -> None:
    """Serve until the end of the process."""
    cacheable = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read")
    server = Server(
        "suite-server",
        version=VERSION,
        cache_hints={method: CacheHint(ttl_ms=0, scope="private") for method in cacheable},
        on_list_tools=complete_results(list_tools),
        on_call_tool=complete_results(call_tool),
        on_list_resources=complete_results(list_resources),
        on_list_resource_templates=complete_results(list_templates),
        on_read_resource=complete_results(read_resource),
        on_subscribe_resource=nothing,
        on_unsubscribe_resource=nothing,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=complete_results(list_prompts),
        on_get_prompt=complete_results(get_prompt),
        on_completion=complete_results(complete),
        on_set_logging_level=nothing,
    )
    app = server.streamable_http_app(
        event_store=Events(), retry_interval=RETRY_MS, custom_starlette_routes=[Route("/health", health)]
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
