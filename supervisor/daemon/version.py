"""At the start: the installed version of this distribution is read."""

import os
import sys

DISTRIBUTION = "godot-supervisor"
_PREFIX, _SUFFIX = "godot_supervisor-", ".dist-info"


def installed() -> str:
    """Return the version, from the name of the distribution's metadata folder.

    `importlib.metadata` costs 1.3 MiB in a daemon that runs for weeks, so it is only the fallback for metadata in
    another form.
    """
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 (no pathlib for one name)
        except OSError:
            continue
        for name in names:
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                return name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    from importlib.metadata import version

    return version(DISTRIBUTION)
