"""`python -m supervisor.daemon`: the daemon in the background, without the command line's modules."""

import json
import os
import sys

from ..native.startup import search_path

TRY = "--try"
"""Only see whether it could run: `client.autostart` asks before it ends the daemon that runs."""


def main() -> int:
    """Run it. What keeps it from starting goes to standard error, as an error object, for whoever started it."""
    search_path.keep_to_ourselves()
    from ..errors import StateNotWritable, SupervisorError
    from ..native.facts import folders
    from ..native.services.manager import on_our_own
    from ..native.startup import inherited

    # Nothing here speaks TLS, and Python's own hashes will do. asyncio and hashlib import OpenSSL where it is there and
    # do without where it is not (their own `except ImportError`): 1.2 MiB less, and a start that is 12 ms shorter.
    sys.modules.update(dict.fromkeys(("ssl", "_hashlib")))  # type: ignore[arg-type]
    inherited.raise_limits()
    try:
        if sys.argv[1:] == [TRY]:
            from .rehearsal import rehearse

            rehearse(folders())
            return 0
        from .app import run

        return run(folders(), console=False, manager=on_our_own())
    except SupervisorError as error:
        problem = error
    except OSError as error:
        problem = StateNotWritable(str(error))
    # Signed: what others write goes to the same file.
    sys.stderr.write(json.dumps({**problem.to_wire(), "pid": os.getpid()}) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
