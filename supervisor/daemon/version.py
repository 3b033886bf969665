"""Which version of this distribution is installed."""

import os
import sys

DISTRIBUTION = "godot-supervisor"
_PREFIX, _SUFFIX = "godot_supervisor-", ".dist-info"


def installed() -> str:
    """The version, from the name of the distribution's metadata folder.

    `importlib.metadata` would read it too, and cost a daemon that runs for weeks 1.3 MiB for it: it stands in where the
    metadata has another form.
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
