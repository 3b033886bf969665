"""The command line, as `python -m supervisor`. First undoes settings that the parent process may have left."""

import sys

from .native.startup import search_path


def main() -> int:
    """Reset the inherited state of this process, run the command line, and return the exit code."""
    search_path.leave_other_interpreter()
    search_path.keep_to_ourselves()
    from .native.startup import inherited

    inherited.begin()
    from .cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
