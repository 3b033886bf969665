"""Entry into the daemon in the background: `python -m supervisor.daemon`, without the command line's modules."""

import json
import os
import sys

from ..native.startup import search_path

TRY = "--try"
"""Only try whether the daemon could run. `client.autostart` does that before it ends the running daemon."""

APART = "--apart"
"""Leave the starter: this process says the pid of the daemon on standard output, and ends."""


def main() -> int:
    """Run the daemon. If it cannot start, write the reason to standard error as an error object, for the starter."""
    search_path.remove_foreign_folders()
    if sys.argv[1:] == [APART]:
        from ..native.startup.apart import leave_starter

        leave_starter()
    from ..errors import StateNotWritable, SupervisorError
    from ..native.facts import folders
    from ..native.services.manager import background_manager
    from ..native.startup import inherited

    # Nothing here speaks TLS, and Python's own hashes are enough. asyncio and hashlib import OpenSSL if it is available
    # and do without otherwise (their own `except ImportError`). Without it the daemon needs 1.2 MiB less memory and
    # starts 12 ms sooner.
    sys.modules.update(dict.fromkeys(("ssl", "_hashlib")))  # type: ignore[arg-type]
    inherited.lift_limits()
    try:
        if sys.argv[1:] == [TRY]:
            from .start_rehearsal import rehearse_start

            rehearse_start(folders())
            return 0
        from .app import run_daemon

        return run_daemon(folders(), console=False, manager=background_manager())
    except SupervisorError as error:
        problem = error
    except OSError as error:
        problem = StateNotWritable(str(error))
    # The pid tells this line from those that other processes write to the same file.
    sys.stderr.write(json.dumps({**problem.to_wire(), "pid": os.getpid()}) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
