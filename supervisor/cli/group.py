"""The table of commands, and the group that loads and runs them."""

import difflib
import importlib
import io
from collections.abc import Mapping

import click

from ..errors import InvalidParams
from . import exit_codes, output

PROGRAM = "godot-supervisor"
VERSION_HELP = "Show the version of this program, and exit."

# Name -> its module and the command in it. A module is imported when its command is used, or for the list of commands.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "start": (".daemon_commands.daemon", "start"),
    "stop": (".daemon_commands.daemon", "stop"),
    "status": (".server_commands.status", "status"),
    "inspect": (".server_commands.inspect_server", "inspect"),
    "up": (".server_commands.up", "up"),
    "down": (".server_commands.down", "down"),
    "adopt": (".server_commands.adopt", "adopt"),
    "restart": (".server_commands.restart", "restart"),
    "wait": (".server_commands.wait", "wait"),
    "url": (".server_commands.url", "url"),
    "connect": (".server_commands.connect", "connect"),
    "mcp": (".server_commands.mcp", "mcp"),
    "reap": (".server_commands.reap", "reap"),
    "ports": (".server_commands.ports", "ports"),
    "logs": (".server_commands.logs", "logs"),
    "events": (".daemon_commands.events", "events"),
    "config": (".daemon_commands.config", "config"),
    "kinds": (".daemon_commands.kinds", "kinds"),
    "addon": (".daemon_commands.addon", "addon"),
    "clients": (".daemon_commands.clients", "clients"),
    "environments": (".daemon_commands.environments", "environments"),
    "service": (".daemon_commands.service", "service"),
    "version": (".daemon_commands.version", "version"),
    "help": (".help", "help_command"),
}
ALIASES: Mapping[str, str] = {"ps": "status"}

EPILOG = """
\b
Examples:
  godot-supervisor up godot-ai                     start a server and print its URL
  godot-supervisor up godot-ai --owner-pid parent  the same, until this shell ends
  godot-supervisor status --watch                  watch editors and servers
  godot-supervisor logs -f godot-ai                follow the output of a server
  godot-supervisor down godot-ai                   stop it

\b
Exit codes:
  0 done  1 failed  2 usage  3 daemon not running  4 not found
  5 refused, not ours  6 timeout  7 version or protocol incompatible  8 busy

\b
Environment:
  GODOT_SUPERVISOR_HOME        use another home folder, and so another daemon
  GODOT_SUPERVISOR_EVENT_LOOP  selector or proactor (Windows)
  GODOT_SUPERVISOR_DEBUG=1     show the traceback of an unexpected error
  NO_COLOR=1                   print without colours

`ps` is another name for `status`.
"""


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command of this name. Returns None if there is none."""
        found = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if found is None:
            return None
        module, attribute = found
        command: click.Command = getattr(importlib.import_module(module, __package__), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of this name, as click wants it.

        Raises:
            click.UsageError: there is no such command. The message suggests the most similar name.
        """
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], [*COMMANDS, *ALIASES], n=1)
            advice = f" Did you mean {near[0]!r}?" if near else f" `{PROGRAM} help` lists them."
            ctx.fail(f"No such command {args[0]!r}.{advice}")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 (click's signature)
    if wanted and not ctx.resilient_parsing:
        from .daemon_commands import version

        output.line(version.text())
        ctx.exit()


@click.group(PROGRAM, cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help=VERSION_HELP
)
def cli() -> None:
    """Start, watch and stop MCP servers for Godot editors.

    A background daemon, one per user, looks after the servers. `up` starts it if necessary.
    """


def run(given: tuple[str, ...], *, as_json: bool) -> int:
    """Run the command, and return the exit code.

    Raises:
        SupervisorError: the command failed.
    """
    try:
        code = cli.main(args=list(given), prog_name=PROGRAM, standalone_mode=False)
    except click.Abort:
        return exit_codes.INTERRUPTED
    except click.ClickException as problem:
        return _report_usage_error(problem, as_json=as_json)
    return code if isinstance(code, int) else exit_codes.DONE


def _report_usage_error(problem: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        parameter = getattr(getattr(problem, "param", None), "name", None)
        output.error(InvalidParams(parameter or "command line", problem.format_message()), as_json=True)
    else:
        shown = io.StringIO()
        problem.show(file=shown)
        output.note(shown.getvalue().rstrip())
    return problem.exit_code
