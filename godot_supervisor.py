"""The command `godot-supervisor`. Its module has a name that no other distribution installs (ADR 12)."""

import os
import sys


def main() -> int:
    """Run the command line of the package in this module's folder, and return the exit code."""
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (a pathlib of another program may still come first)
    sys.path.insert(0, folder)
    try:
        from supervisor.__main__ import main as command
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("supervisor"):
            raise
        found = getattr(sys.modules.get("supervisor"), "__path__", ["an unknown place"])
        _print_to_stderr(
            f"error: another package called supervisor hides the package of godot-supervisor: {', '.join(found)}"
        )
        _print_to_stderr(
            "hint: install godot-supervisor in an environment of its own: uv tool install godot-supervisor"
        )
        return 1
    finally:
        sys.path.remove(folder)
    return command()


def _print_to_stderr(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
