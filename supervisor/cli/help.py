"""The command `help`."""

import click

from . import output


@click.command("help")
@click.argument("command", nargs=-1)
@click.pass_context
def help_command(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Show the help of COMMAND, or list the commands."""
    current = ctx.find_root()
    for word in command:
        group = current.command
        if not isinstance(group, click.Group):
            current.fail(f"{current.command_path} has no subcommands.")
        name, subcommand, _ = group.resolve_command(current, [word])
        if subcommand is None:
            current.fail(f"No such command {word!r}.")
        current = click.Context(subcommand, info_name=name, parent=current)
    output.line(current.command.get_help(current))
