"""The command `godot-supervisor`: runs a verb, turns every failure into one message and an exit code."""

import os
import sys
from collections.abc import Sequence

from ..errors import Internal, SupervisorError
from . import exit_codes, output

DEBUG_VARIABLE = "GODOT_SUPERVISOR_DEBUG"
REPORT_AT = "the project's issue tracker"

# What prompts and scripts ask all the time. It needs no parser, and the parser takes as long as all the rest.
QUERIES = frozenset({("status",), ("ps",), ("status", "--json"), ("ps", "--json")})

_OF_THE_HOME = frozenset({"DAEMON_UNREACHABLE", "STATE_NOT_WRITABLE", "CONFIG_INVALID", "NOT_OURS"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    _have_streams()
    _replace_what_the_terminal_cannot_show()
    try:
        return _run(given, as_json=as_json)
    except SupervisorError as problem:
        return _failed(_with_the_homes_reason(problem), as_json=as_json)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as problem:  # noqa: BLE001 (the last line of defence: the user gets one line)
        if isinstance(problem, OSError) and (reason := _environments(problem)) is not None:
            return _failed(reason, as_json=as_json)
        return _unexpected(problem, as_json=as_json)


def _run(given: tuple[str, ...], *, as_json: bool) -> int:
    if given in QUERIES:
        from .text import status_table

        status_table.show(as_json=as_json)
        return exit_codes.DONE
    match given:
        # What service managers start. It runs for weeks, and needs no parser either.
        case ("service", "run", *home) if not home or (home[0] == "--home" and len(home) == len(("--home", "DIR"))):
            from ..daemon.service_main import serve

            return serve(*home[1:])
    from . import group

    return group.run(given, as_json=as_json)


def _failed(problem: SupervisorError, *, as_json: bool) -> int:
    output.error(problem, as_json=as_json)
    return exit_codes.exit_code(problem.code)


def _with_the_homes_reason(problem: SupervisorError) -> SupervisorError:
    """The error, or the reason behind it where this user cannot have such a home folder at all."""
    if problem.code in _OF_THE_HOME or (problem.code == "DAEMON_NOT_RUNNING" and "file" in problem.data):
        from ..native.facts import folders
        from ..native.startup import homes

        try:
            homes.refuse(folders())
        except SupervisorError as reason:
            return reason
    return problem


def _environments(problem: OSError) -> SupervisorError | None:
    """An error of the system that is no defect of ours, in a user's words; None: it may be one."""
    from ..native.facts import folders
    from ..native.startup import homes

    try:
        return homes.explained(problem, folders()) if problem.errno in homes.ENVIRONMENT else None
    except SupervisorError as reason:
        return reason


def _unexpected(problem: Exception, *, as_json: bool) -> int:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise problem
    text = output.printable(f"{type(problem).__name__}: {problem}")
    hint = f"This is a defect. Run it again with {DEBUG_VARIABLE}=1 and report the traceback to {REPORT_AT}."
    if as_json:
        output.error(Internal(f"unexpected {text}", hint=hint), as_json=True)
    else:
        output.note(f"error: unexpected {text}")
        output.note(hint)
    return exit_codes.FAILED


def _have_streams() -> None:
    """Where a shell has closed one (`2>&-`) Python has None, and the next file that is opened would take its place."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (for life)


def _replace_what_the_terminal_cannot_show() -> None:
    """A folder's name that does not fit a legacy code page costs a replaced letter, not the command."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
