"""Where the daemons of one user leave their adoption marks, on POSIX systems."""

import os
import sys
from pathlib import Path

from ..shared.adoption_marks import FOLDER

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this runs)


def of_this_user() -> tuple[Path, ...]:
    """Return the folders, which depend on no variable. The first one may come and go with the user's logins.

    Programs that clean temporary folders empty `/tmp` sooner than `/var/tmp` (tmpfiles.d(5)).
    """
    user = os.geteuid()
    temporary = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 (the folders are checked before each use)
    return (Path(f"/run/user/{user}/{FOLDER}"), *(folder / f"{FOLDER}-{user}" for folder in temporary))
