"""`service`: the daemon as a service of this system."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ...daemon.version import installed as version
from ...errors import ServiceRefused
from ...native.facts import folders
from ...native.startup import homes
from ...service import managers
from ...service.managers import OperationRequest
from ...service.report import Report
from ...service.steps import Step, Steps
from .. import exit_codes, options, output

MODES = ("user-service", "task", "account-service")
WELL = frozenset({"active", "running"})

dry_run: options.Decorator = click.option("--dry-run", is_flag=True, help="Only show what would be done.")


@click.group
def service() -> None:
    """Have the system start the daemon and look after it.

    At login: by systemd, launchd or Windows.
    """


@service.command
@click.option("--mode", type=click.Choice(MODES), help="Windows: how. Default: what this prompt may do.")
@click.option("--account", metavar="NAME", help="Windows, account-service: the user that it runs as.")
@dry_run
@options.as_json
def install(*, mode: str | None, account: str | None, dry_run: bool, as_json: bool) -> None:
    """Install the service and start it, or repair it.

    Servers go on.
    """
    where = folders()
    homes.refuse(where)
    steps = Steps(managers.runner(), dry_run=dry_run)
    wish = OperationRequest(mode, account, _password(account, dry_run=dry_run) if mode == "account-service" else None)
    managers.install(where, managers.open_manager(where, version(), steps, wish), steps)
    _told(steps, as_json=as_json)


@service.command
@click.option("--stop-servers", is_flag=True, help="Stop every server as well. Without it they go on.")
@dry_run
@options.as_json
def uninstall(*, stop_servers: bool, dry_run: bool, as_json: bool) -> None:
    """Stop the service and remove it. Servers go on."""
    where = folders()
    steps = Steps(managers.runner(), dry_run=dry_run)
    manager = managers.open_manager(where, version(), steps)
    managers.uninstall(where, manager, steps, stop_servers=stop_servers)
    _told(steps, as_json=as_json)


@service.command
@options.as_json
def status(*, as_json: bool) -> int:
    """Show the service. Exit code 0: it is as it should be; 1: it is not; 4: there is none."""
    where = folders()
    steps = Steps(managers.runner())
    report, daemon = managers.status(where, managers.open_manager(where, version(), steps))
    if as_json:
        output.document({**report.document(), "daemon": daemon, "notes": steps.notes})
    else:
        _card(report, daemon, steps.notes)
    if not report.installed:
        return exit_codes.NOT_FOUND
    well = not report.differences and report.enabled is not False and (report.state in WELL or report.state is None)
    return exit_codes.DONE if well else exit_codes.FAILED


@service.command
@click.option("--home", metavar="DIR", help="In place of the home folder that the environment names.")
@options.as_json
def run(*, home: str | None, as_json: bool) -> int:
    """Be the daemon, as the service manager starts it.

    By hand, in the foreground.
    """
    from ...daemon.service_main import serve

    return serve(home, as_json=as_json)


def _password(account: str | None, *, dry_run: bool) -> str | None:
    """Asked for, handed to Windows, and kept nowhere."""
    if dry_run or account is None:
        return None
    try:
        return str(click.prompt(f"password of {account}", hide_input=True, err=True))
    except click.Abort as problem:
        raise ServiceRefused("without the account's password Windows starts nothing as it") from problem


def _told(steps: Steps, *, as_json: bool) -> None:
    if as_json:
        rows = [_row(step) for step in steps.taken]
        output.document({"dry_run": steps.dry_run, "steps": rows, "notes": steps.notes})
        return
    done = [step for step in steps.taken if step.action != "unchanged"]
    if steps.dry_run:
        output.line("this is what would be done:" if done else "nothing would be done")
    elif not done:
        output.line("nothing to do")
    for step in done:
        failed = f"  (exit status {step.status})" if step.status else ""
        output.line(f"{step.action:8} {step.what}{failed}")
        for text in (step.text or "").splitlines():
            output.line(f"         | {text}")
    for text in steps.notes:
        output.note(f"note: {text}")


def _row(step: Step) -> dict[str, Any]:
    row = {"action": step.action, "what": step.what, "exit": step.status}
    return row if step.text is None else {**row, "text": step.text}


def _card(report: Report, daemon: Mapping[str, Any] | None, notes: Sequence[str]) -> None:
    rows: list[tuple[str, object]] = [
        ("service", f"{report.name} ({report.manager}{f', {report.mode}' if report.mode else ''})"),
        ("installed", report.file or "yes" if report.installed else "no"),
        ("at login", report.enabled),
        ("state", report.state and f"{report.state}{f', pid {report.pid}' if report.pid else ''}"),
        ("lingers", report.lingering),
        ("daemon", f"pid {daemon['pid']}, version {daemon['version']}" if daemon else "none answers"),
    ]
    for name, value in rows:
        if value is not None:
            shown = {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            output.line(f"{name:10} {shown}")
    for difference in report.differences:
        output.line(f"{output.painted('differs', 'yellow')}    {difference}")
    if report.differences:
        output.line("to repair it: godot-supervisor service install")
    # On Windows the service may be the redirector of a virtual environment, and the daemon its child.
    if daemon and report.pid and daemon["pid"] != report.pid and report.manager != "windows":
        output.line("the daemon was not started by the service: godot-supervisor service install hands it over")
    for text in notes:
        output.note(f"note: {text}")
