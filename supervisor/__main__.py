"""`python -m supervisor` is the command line. It begins with what the program above may have left behind."""

import sys

from .native.startup import search_path


def main() -> int:
    """Run the command line in a process whose state is our own; the exit code."""
    search_path.leave_other_interpreter()
    search_path.keep_to_ourselves()
    from .native.startup import inherited

    inherited.begin()
    from .cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
