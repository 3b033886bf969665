"""Everything that the matrix runs: AI clients, and programs of SDKs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.lab.clients.ai_clients import AI_CLIENTS, AiClient
from tests.lab.clients.lab_home import LabHome
from tests.lab.clients.packages import FASTMCP, NODE, PYTHON_SDK_1, PYTHON_SDK_2, TYPESCRIPT_SDK, Package
from tests.lab.clients.sessions import AiSession, SdkSession, add_entry, list_servers, sdk_words


class Subject(NamedTuple):
    """A client.

    `add_entry` adds the server to its settings; None if it has none. `list` shows its servers; None if it has no such
    command. `connected` is what `list` says of a server that is connected.
    """

    name: str
    title: str
    packages: Sequence[Package]
    start: Callable[[LabHome], AiSession | SdkSession]
    add_entry: Callable[..., None] | None = None
    list: Callable[[LabHome], str] | None = None
    connected: str | None = None

    @property
    def version(self) -> str:
        """The version of the client."""
        return self.packages[0].version

    def install(self) -> None:
        """Install the client, unless it is there."""
        for package in self.packages:
            package.install()


def _ai(client: AiClient) -> Subject:
    return Subject(
        client.name,
        client.title,
        [client.package, NODE] if client.needs_newer_node else [client.package],
        lambda home: AiSession(client, home),
        lambda home, *options: add_entry(client, home, *options),
        lambda home: list_servers(client, home),
        client.connected,
    )


def _sdk(name: str, title: str, package: Package, program: str) -> Subject:
    return Subject(name, title, [package], lambda home: SdkSession(sdk_words(package, program), home))


SDKS = (
    _sdk("python-sdk-1", "Python SDK 1", PYTHON_SDK_1, "python_sdk.py"),
    _sdk("python-sdk-2", "Python SDK 2", PYTHON_SDK_2, "python_sdk.py"),
    _sdk("fastmcp", "FastMCP", FASTMCP, "fastmcp_client.py"),
    _sdk("typescript-sdk", "TypeScript SDK", TYPESCRIPT_SDK, "typescript_sdk.mjs"),
)

SUBJECTS: dict[str, Subject] = {each.name: each for each in (*map(_ai, AI_CLIENTS), *SDKS)}
