"""The command `godot-supervisor`. Its module has a name that no other distribution installs (ADR 12)."""

import os
import sys


def main() -> int:
    """Run the command line with the package that lies beside this module; the exit code."""
    beside = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib may be another's, still)
    sys.path.insert(0, beside)
    try:
        from supervisor.__main__ import main as command
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("supervisor"):
            raise
        found = getattr(sys.modules.get("supervisor"), "__path__", ["an unknown place"])
        _say(f"error: another package called supervisor hides the one of godot-supervisor: {', '.join(found)}")
        _say("hint: install godot-supervisor apart from it: uv tool install, or pipx install")
        return 1
    finally:
        sys.path.remove(beside)
    return command()


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
