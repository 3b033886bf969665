"""The commands: finds the one that is asked for, and runs it."""

import difflib
import importlib
import io
from collections.abc import Mapping

import click

from ..errors import InvalidParams
from . import exit_codes, output

PROGRAM = "godot-supervisor"
VERSION_HELP = "Show the version of this command, and exit."

# Verb -> its module and the command in it. A module is imported when its verb is used, or for the list of verbs.
VERBS: Mapping[str, tuple[str, str]] = {
    "start": (".daemon_commands.daemon", "start"),
    "stop": (".daemon_commands.daemon", "stop"),
    "status": (".server_commands.status", "status"),
    "inspect": (".server_commands.inspect_server", "inspect"),
    "up": (".server_commands.up", "up"),
    "down": (".server_commands.down", "down"),
    "adopt": (".server_commands.adopt", "adopt"),
    "restart": (".server_commands.restart", "restart"),
    "wait": (".server_commands.wait", "wait"),
    "url": (".server_commands.url_connect", "url"),
    "connect": (".server_commands.url_connect", "connect"),
    "reap": (".server_commands.reap", "reap"),
    "ports": (".server_commands.ports", "ports"),
    "logs": (".server_commands.logs", "logs"),
    "events": (".daemon_commands.events", "events"),
    "config": (".daemon_commands.config", "config"),
    "kinds": (".daemon_commands.kinds", "kinds"),
    "environments": (".daemon_commands.environments", "environments"),
    "service": (".daemon_commands.service", "service"),
    "version": (".daemon_commands.version", "version"),
    "help": (".help", "help_command"),
}
ALIASES: Mapping[str, str] = {"ps": "status"}

EPILOG = """
\b
Examples:
  godot-supervisor up godot-ai --owner-pid parent
  godot-supervisor status --watch
  godot-supervisor logs -f godot-ai
  godot-supervisor help up

\b
Exit codes:
  0 done  1 failed  2 usage  3 daemon not running  4 not found
  5 refused, not ours  6 timeout  7 version or protocol incompatible  8 busy

\b
Environment:
  GODOT_SUPERVISOR_HOME        another home folder, and so another daemon
  GODOT_SUPERVISOR_EVENT_LOOP  selector or proactor (Windows)
  GODOT_SUPERVISOR_DEBUG=1     a traceback for an unexpected error
  NO_COLOR=1                   no colours

`ps` is another name of `status`.
"""


class LazyGroup(click.Group):
    """A group that imports a verb's module when the verb is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """The verbs, in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The verb's command; None: no such verb."""
        found = VERBS.get(ALIASES.get(cmd_name, cmd_name))
        if found is None:
            return None
        module, attribute = found
        command: click.Command = getattr(importlib.import_module(module, __package__), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is asked for.

        Raises:
            click.UsageError: there is none of that name. The message has the name that is nearest to it.
        """
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], [*VERBS, *ALIASES], n=1)
            advice = f" Did you mean {near[0]!r}?" if near else f" `{PROGRAM} help` lists them."
            ctx.fail(f"No such command {args[0]!r}.{advice}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 (click's signature)
    if wanted and not ctx.resilient_parsing:
        from .daemon_commands import version

        output.line(version.text())
        ctx.exit()


@click.group(PROGRAM, cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.option("-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help=VERSION_HELP)
def cli() -> None:
    """Own the life of MCP servers for Godot editors: start, adopt, watch and reap them."""


def run(given: tuple[str, ...], *, as_json: bool) -> int:
    """Run the verb that is given; the exit code.

    Raises:
        SupervisorError: it failed.
    """
    try:
        code = cli.main(args=list(given), prog_name=PROGRAM, standalone_mode=False)
    except click.Abort:
        return exit_codes.INTERRUPTED
    except click.ClickException as problem:
        return _usage(problem, as_json=as_json)
    return code if isinstance(code, int) else exit_codes.DONE


def _usage(problem: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        parameter = getattr(getattr(problem, "param", None), "name", None)
        output.error(InvalidParams(parameter or "command line", problem.format_message()), as_json=True)
    else:
        shown = io.StringIO()
        problem.show(file=shown)
        output.note(shown.getvalue().rstrip())
    return problem.exit_code
