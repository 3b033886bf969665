"""Where the daemons of one user leave their adoption marks, on POSIX systems."""

import os
import sys
from pathlib import Path

from ..shared.adoption_marks import FOLDER

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this runs)


def of_this_user() -> tuple[Path, ...]:
    """Return the folders, which depend on no variable. The first one may come and go with the user's logins."""
    user = os.geteuid()
    return (Path(f"/run/user/{user}/{FOLDER}"), Path(f"/tmp/{FOLDER}-{user}"))  # noqa: S108 (checked before each use)
