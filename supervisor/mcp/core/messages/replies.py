"""Texts of the bridge's own messages. Problems are written so that a model understands them."""

from typing import Any

from ..events_and_actions import Id, Problem
from .message import encode

SERVER_ERROR = -32000

COMPLETE = {"resultType": "complete"}
"""What each result of the modern era has, unless it asks for something."""

COMPLETE_LIST = {**COMPLETE, "ttlMs": 0, "cacheScope": "private"}
"""What each list of the modern era has. Clients keep this one for no time."""


def result(identifier: Id, value: object) -> bytes:
    """Return the text of an answer with a result."""
    return encode({"jsonrpc": "2.0", "id": identifier, "result": value})


def error(identifier: Id | None, code: int, message: str, data: dict[str, Any] | None = None) -> bytes:
    """Return the text of an error. `identifier` is the id of the request, or None if it is not known."""
    content = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return encode({"jsonrpc": "2.0", "id": identifier, "error": content})


def notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    """Return the text of a notification."""
    return encode({"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params}))


def request(identifier: Id, method: str, params: dict[str, Any] | None = None) -> bytes:
    """Return the text of a request."""
    return encode({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params or {}})


def progress(token: Id, count: int, message: str) -> bytes:
    """Return the text of a notification of progress, for a request that waits. `count` counts them from 1 on.

    The numbers are tiny, because those of the server must be larger, and the server may begin with 0.
    """
    params = {"progressToken": token, "progress": count / 1_000_000, "message": message}
    return notification("notifications/progress", params)


def problem_fields(problem: Problem) -> dict[str, Any]:
    """Return the fields of a problem that are not None."""
    return {name: value for name, value in problem._asdict().items() if value is not None}


def problem_text(problem: Problem) -> str:
    """Return a problem as a sentence for a model, which says that it is an error."""
    hint = f" {problem.hint}" if problem.hint else ""
    later = "later" if problem.retry_after_ms is None else f"in {problem.retry_after_ms} ms"
    again = f" The same call may succeed {later}." if problem.retryable else ""
    return f"Error {problem.code}: {problem.message}.{hint}{again}"


def tool_problem(identifier: Id, problem: Problem, *, modern: bool) -> bytes:
    """Return the text of a tool result that tells a problem.

    Clients show `content`, or `structuredContent`, or both. Results of the modern era have a type.
    """
    text = problem_text(problem)
    shown = {"error": {**problem_fields(problem), "text": text}}
    return result(
        identifier,
        {
            **(COMPLETE if modern else {}),
            "content": [{"type": "text", "text": text}],
            "structuredContent": shown,
            "isError": True,
        },
    )


def request_problem(identifier: Id, problem: Problem) -> bytes:
    """Return the text of an error that tells a problem, for a request that is no tool call."""
    return error(identifier, SERVER_ERROR, problem_text(problem), problem_fields(problem))
