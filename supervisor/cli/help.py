"""The command `help`."""

import click

from . import output


@click.command("help")
@click.argument("command", nargs=-1)
@click.pass_context
def help_command(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or list the commands."""
    found = ctx.find_root()
    for word in command:
        group = found.command
        if not isinstance(group, click.Group):
            found.fail(f"{found.command_path} has no subcommands.")
        name, inner, _ = group.resolve_command(found, [word])
        if inner is None:
            found.fail(f"No such command {word!r}.")
        found = click.Context(inner, info_name=name, parent=found)
    output.line(found.command.get_help(found))
