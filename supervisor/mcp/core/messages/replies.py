"""Messages of our own to the client, written so that every model can read it."""

from typing import Any

from ..values import Id, Problem
from .message import encode

SERVER_ERROR = -32000


def result(identifier: Id, value: object) -> bytes:
    """Return an answer."""
    return encode({"jsonrpc": "2.0", "id": identifier, "result": value})


def error(identifier: Id | None, code: int, message: str, data: dict[str, Any] | None = None) -> bytes:
    """Return an error under the id of a request, or without one."""
    said = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return encode({"jsonrpc": "2.0", "id": identifier, "error": said})


def notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    """Return a notification."""
    return encode({"jsonrpc": "2.0", "method": method} | ({} if params is None else {"params": params}))


def request(identifier: Id, method: str, params: dict[str, Any] | None = None) -> bytes:
    """Return a request of our own."""
    return encode({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params or {}})


def progress(token: Id, count: int, message: str) -> bytes:
    """Return our own progress of a call that waits.

    The numbers are tiny, because those of the server must be larger, and the server may begin with 0.
    """
    params = {"progressToken": token, "progress": count / 1_000_000, "message": message}
    return notification("notifications/progress", params)


def fields_of(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON."""
    return {name: value for name, value in problem._asdict().items() if value is not None}


def prose(problem: Problem) -> str:
    """Return a problem as a text that a model understands, which says that it is an error."""
    hint = f" {problem.hint}" if problem.hint else ""
    again = " The same call may succeed later." if problem.retryable else ""
    return f"Error {problem.code}: {problem.message}.{hint}{again}"


def tool_problem(identifier: Id, problem: Problem) -> bytes:
    """Return a problem as the result of a tool call. Clients show `content`, or `structuredContent`, or both."""
    text = prose(problem)
    shown = {"error": {**fields_of(problem), "text": text}}
    return result(
        identifier,
        {"content": [{"type": "text", "text": text}], "structuredContent": shown, "isError": True},
    )


def request_problem(identifier: Id, problem: Problem) -> bytes:
    """Return a problem as the error of a request that is no tool call."""
    return error(identifier, SERVER_ERROR, prose(problem), fields_of(problem))
