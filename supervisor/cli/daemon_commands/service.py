"""The commands `service install`, `uninstall`, `status` and `run`."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ...daemon.version import installed as version
from ...errors import ServiceRefused
from ...native.facts import folders
from ...native.startup import homes
from ...service import managers
from ...service.managers import InstallOptions
from ...service.report import ServiceReport
from ...service.steps import Step, Steps
from .. import exit_codes, options, output
from ..formatting import coloured

MODES = ("user-service", "task", "account-service")
RUNNING = frozenset({"active", "running"})

dry_run: options.Decorator = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


@click.group
def service() -> None:
    """Run the daemon as a service that the system starts at login.

    The service manager of the system does that: systemd, launchd, or Windows.
    """


@service.command
@click.option(
    "--mode",
    type=click.Choice(MODES),
    help="Windows: the type of service. Default: user-service in an elevated prompt, else task.",
)
@click.option("--account", metavar="NAME", help="Windows, account-service: the user that the service runs as.")
@dry_run
@options.as_json
def install(*, mode: str | None, account: str | None, dry_run: bool, as_json: bool) -> None:
    """Install the service and start it, or repair it.

    Servers keep running.
    """
    where = folders()
    homes.check(where)
    steps = Steps(managers.command_runner(), dry_run=dry_run)
    wanted = InstallOptions(mode, account, _password(account, dry_run=dry_run) if mode == "account-service" else None)
    managers.install(where, managers.open_service(where, version(), steps, wanted), steps)
    _print_steps(steps, as_json=as_json)


@service.command
@click.option("--stop-servers", is_flag=True, help="Stop every server as well.")
@dry_run
@options.as_json
def uninstall(*, stop_servers: bool, dry_run: bool, as_json: bool) -> None:
    """Stop the service and remove it.

    Servers keep running.
    """
    where = folders()
    steps = Steps(managers.command_runner(), dry_run=dry_run)
    manager = managers.open_service(where, version(), steps)
    managers.uninstall(where, manager, steps, stop_servers=stop_servers)
    _print_steps(steps, as_json=as_json)


@service.command
@options.as_json
def status(*, as_json: bool) -> int:
    """Show whether the service is installed and in order.

    Exit code 0: the service is in order; 1: it needs a repair; 4: it is not installed.
    """
    where = folders()
    steps = Steps(managers.command_runner())
    report, daemon = managers.status(where, managers.open_service(where, version(), steps))
    if as_json:
        output.document({**report.document(), "daemon": daemon, "notes": steps.notes})
    else:
        _print_status(report, daemon, steps.notes)
    if not report.installed:
        return exit_codes.NOT_FOUND
    in_order = (
        not report.differences and report.enabled is not False and (report.state in RUNNING or report.state is None)
    )
    return exit_codes.DONE if in_order else exit_codes.FAILED


@service.command
@click.option("--home", metavar="DIR", help="Use this home folder instead of the one from the environment.")
@options.as_json
def run(*, home: str | None, as_json: bool) -> int:
    """Run the daemon in the foreground (used by the service manager)."""
    from ...daemon.service_main import serve

    return serve(home, as_json=as_json)


def _password(account: str | None, *, dry_run: bool) -> str | None:
    """Ask for the account's password, which is passed to Windows and not stored. Returns None if none is needed."""
    if dry_run or account is None:
        return None
    try:
        return str(click.prompt(f"password of {account}", hide_input=True, err=True))
    except click.Abort as problem:
        raise ServiceRefused("Windows needs the account's password to start a service as this user") from problem


def _print_steps(steps: Steps, *, as_json: bool) -> None:
    if as_json:
        rows = [_object(step) for step in steps.taken]
        output.document({"dry_run": steps.dry_run, "steps": rows, "notes": steps.notes})
        return
    done = [step for step in steps.taken if step.action != "unchanged"]
    if steps.dry_run:
        output.line("would be done:" if done else "nothing would be done")
    elif not done:
        output.line("nothing to do")
    for step in done:
        failed = f"  (exit status {step.status})" if step.status else ""
        output.line(f"{step.action:8} {step.what}{failed}")
        for text in (step.text or "").splitlines():
            output.line(f"         | {text}")
    for text in steps.notes:
        output.note(f"note: {text}")


def _object(step: Step) -> dict[str, Any]:
    row = {"action": step.action, "what": step.what, "exit": step.status}
    return row if step.text is None else {**row, "text": step.text}


def _print_status(report: ServiceReport, daemon: Mapping[str, Any] | None, notes: Sequence[str]) -> None:
    rows: list[tuple[str, object]] = [
        ("service", f"{report.name} ({report.manager}{f', {report.mode}' if report.mode else ''})"),
        ("installed", report.file or "yes" if report.installed else "no"),
        ("at login", report.enabled),
        ("state", report.state and f"{report.state}{f', pid {report.pid}' if report.pid else ''}"),
        ("lingers", report.lingering),
        ("daemon", f"pid {daemon['pid']}, version {daemon['version']}" if daemon else "no daemon answers"),
    ]
    for name, value in rows:
        if value is not None:
            shown = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            output.line(f"{name:10} {shown}")
    for difference in report.differences:
        output.line(f"{coloured('differs', 'yellow')}    {difference}")
    if report.differences:
        output.line("to repair it: godot-supervisor service install")
    # On Windows the service may be the launcher of a virtual environment, and the daemon its child.
    if daemon and report.pid and daemon["pid"] != report.pid and report.manager != "windows":
        output.line("the daemon was not started by the service; to hand it over: godot-supervisor service install")
    for text in notes:
        output.note(f"note: {text}")
