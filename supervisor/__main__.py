"""The command line, as `python -m supervisor`. First undoes settings that the parent process may have left."""

import sys

from .native.startup import search_path


def main() -> int:
    """Reset the inherited state of this process, run the command line, and return the exit code."""
    search_path.restart_without_foreign_library()
    search_path.remove_foreign_folders()
    from .native.startup import inherited

    inherited.reset_for_command()
    from .cli.main import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
