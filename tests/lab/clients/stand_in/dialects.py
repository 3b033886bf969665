"""The four protocols in which AI clients ask a model: what a request offers and says, and answers to it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]

STARTED = 1_764_000_000


class Tool(NamedTuple):
    """A tool that a client offers to the model. Codex groups the tools of a server in a namespace."""

    name: str
    namespace: str | None = None

    @property
    def whole_name(self) -> str:
        """Return the name with its namespace."""
        return f"{self.namespace}__{self.name}" if self.namespace else self.name


class Call(NamedTuple):
    """A tool call that the model asks for."""

    tool: Tool
    arguments: Mapping[str, Any]
    number: int


class Reply(NamedTuple):
    """The body of an answer, and its content type."""

    body: bytes
    content_type: str = "application/json"


Answer = Callable[[Json, Call | str], Reply]
"""Returns the answer to a request body: a call of a tool, or a text."""


class Dialect(NamedTuple):
    """A protocol. `results` returns the tool results that a request body contains, in order."""

    answer: Answer
    results: Callable[[Json], list[Any]]


def find_dialect(path: str) -> Dialect | None:
    """Return the protocol of a request to this path. Returns None if it asks for no answer of a model."""
    plain = path.partition("?")[0]
    if plain.endswith("/messages"):
        return Dialect(_anthropic, _anthropic_results)
    if plain.endswith("/responses"):
        return Dialect(_responses, _responses_results)
    if plain.endswith("/chat/completions"):
        return Dialect(_chat, _chat_results)
    if "generatecontent" in plain.lower():
        return Dialect(_gemini_stream if "stream" in plain else _gemini, _gemini_results)
    return None


def offered_tools(tools: Any, namespace: str | None = None) -> Iterator[Tool]:
    """Yield the tools in the list of a request body."""
    for each in tools if isinstance(tools, list) else []:
        if each.get("type") == "namespace":
            yield from offered_tools(each.get("tools"), each.get("name"))
        elif "functionDeclarations" in each:
            yield from offered_tools(each["functionDeclarations"])
        elif isinstance(each.get("function"), dict):
            yield Tool(each["function"]["name"], namespace)
        elif each.get("name"):
            yield Tool(each["name"], namespace)


def _stream(events: list[Json], *, named: bool = False, end: bytes = b"") -> Reply:
    parts = []
    for event in events:
        if named:
            parts.append(f"event: {event['type']}\n".encode())
        parts.append(b"data: " + json.dumps(event).encode() + b"\n\n")
    return Reply(b"".join(parts) + end, "text/event-stream")


def _document(content: Json) -> Reply:
    return Reply(json.dumps(content).encode())


def _anthropic(body: Json, said: Call | str) -> Reply:
    delta: Json
    if isinstance(said, Call):
        block = {"type": "tool_use", "id": f"toolu_{said.number:04d}", "name": said.tool.name, "input": said.arguments}
        opened, stop = {**block, "input": {}}, "tool_use"
        delta = {"type": "input_json_delta", "partial_json": json.dumps(said.arguments)}
    else:
        block = {"type": "text", "text": said}
        opened, stop = {**block, "text": ""}, "end_turn"
        delta = {"type": "text_delta", "text": said}
    usage = {"input_tokens": 10, "output_tokens": 5}
    about = {"id": "msg_1", "type": "message", "role": "assistant", "model": body.get("model"), "stop_sequence": None}
    if not body.get("stream"):
        return _document({**about, "content": [block], "stop_reason": stop, "usage": usage})
    begun = {**about, "content": [], "stop_reason": None, "usage": usage}
    ended = {"stop_reason": stop, "stop_sequence": None}
    return _stream(
        [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": opened},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ],
        named=True,
    )


def _anthropic_results(body: Json) -> list[Any]:
    contents = [message["content"] for message in body.get("messages", []) if isinstance(message.get("content"), list)]
    parts = [part for content in contents for part in content if part.get("type") == "tool_result"]
    return [{"content": part.get("content"), "is_error": part.get("is_error")} for part in parts]


def _responses(body: Json, said: Call | str) -> Reply:
    about = {"id": "resp_1", "object": "response", "created_at": STARTED, "model": body.get("model")}
    middle: Json
    if isinstance(said, Call):
        arguments = json.dumps(said.arguments)
        item = {"type": "function_call", "id": f"fc_{said.number}", "call_id": f"call_{said.number}"}
        item |= {"name": said.tool.name, "arguments": arguments, "status": "completed"}
        if said.tool.namespace:
            item["namespace"] = said.tool.namespace
        middle = {"type": "response.function_call_arguments.done", "arguments": arguments, "name": said.tool.name}
    else:
        content = [{"type": "output_text", "text": said, "annotations": []}]
        item = {"type": "message", "id": "m_1", "role": "assistant", "status": "completed", "content": content}  # type: ignore[dict-item]
        middle = {"type": "response.output_text.delta", "content_index": 0, "delta": said}
    usage: Json = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    whole = {**about, "status": "completed", "output": [item], "usage": usage}
    begun = {**whole, "status": "in_progress", "output": []}
    events: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
        {**middle, "item_id": item["id"], "output_index": 0},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    return _stream([{**event, "sequence_number": number} for number, event in enumerate(events)], named=True)


def _responses_results(body: Json) -> list[Any]:
    items = body["input"] if isinstance(body.get("input"), list) else []
    return [item.get("output") for item in items if item.get("type") == "function_call_output"]


def _chat(body: Json, said: Call | str) -> Reply:
    about = {"id": "c1", "created": STARTED, "model": body.get("model")}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    message: Json = {"role": "assistant", "content": said if isinstance(said, str) else None}
    if isinstance(said, Call):
        function = {"name": said.tool.name, "arguments": json.dumps(said.arguments)}
        message["tool_calls"] = [{"index": 0, "id": f"call_{said.number}", "type": "function", "function": function}]
    stop = "tool_calls" if isinstance(said, Call) else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": stop}
        return _document({**about, "object": "chat.completion", "choices": [choice], "usage": usage})
    about["object"] = "chat.completion.chunk"
    return _stream(
        [
            {**about, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": stop}]},
            {**about, "choices": [], "usage": usage},
        ],
        end=b"data: [DONE]\n\n",
    )


def _chat_results(body: Json) -> list[Any]:
    return [message.get("content") for message in body.get("messages", []) if message.get("role") == "tool"]


def _gemini_answer(said: Call | str) -> Json:
    part: Json = {"text": said} if isinstance(said, str) else {}
    if isinstance(said, Call):
        part = {"functionCall": {"name": said.tool.name, "args": said.arguments}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "stand-in"}


def _gemini(_: Json, said: Call | str) -> Reply:
    return _document(_gemini_answer(said))


def _gemini_stream(_: Json, said: Call | str) -> Reply:
    return _stream([_gemini_answer(said)])


def _gemini_results(body: Json) -> list[Any]:
    parts = [part for content in body.get("contents", []) for part in content.get("parts", [])]
    return [part["functionResponse"] for part in parts if "functionResponse" in part]
