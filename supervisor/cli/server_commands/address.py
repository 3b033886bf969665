"""The server whose address `url` and `connect` print."""

from typing import Any

from .. import exit_codes, output, remote, server_choice
from ..deadline import Deadline


def find_server(word: str | None, command: str, deadline: Deadline) -> Any:
    """Return the server that the word means, or the only server if the user typed none."""
    with remote.connect(deadline=deadline) as client:
        timeout_s = deadline.left_or(remote.READ_TIMEOUT_S)
        return server_choice.with_chosen(
            client,
            server_choice.word_or_only_server(client, word, command, deadline),
            command,
            deadline,
            lambda server: client.call("server.get", {"server": server}, accept_timeout_s=timeout_s),
            ends_server=False,
        )


def exit_code_with_warning(server: Any) -> int:
    """Warn if the server is not ready, and return the exit code.

    The address was printed in any case. The exit code tells a script that no server may answer at this address.
    """
    if server["state"] == "ready":
        return exit_codes.DONE
    hint = f"godot-supervisor inspect {server['id']}"
    output.note(f"warning: {server['id']} is {server['state']} and may not answer at this address: {hint}")
    return exit_codes.FAILED
