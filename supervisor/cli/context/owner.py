"""The process of `--owner-pid`, as this command sees it: in another pid namespace its pid is another process."""

from typing import Any

from ...errors import EditorGone
from ...native.platforms import open_platform, parent_pid


def identify_owner(pid: int | None) -> dict[str, Any]:
    """Return pid and start token of a process, as `server.ensure` takes an owner.

    The token is left out if the system does not tell it.

    The daemon refuses a pid whose process has another start token there: the command runs in another pid namespace.

    Args:
        pid: the process; None for the one that started this command.

    Raises:
        EditorGone: no such process is seen from here. The daemon may see another process of that number.
    """
    pid = parent_pid() if pid is None else pid
    try:
        identity = open_platform().probe.identify(pid)
    except OSError:
        return {"pid": pid}
    if identity is None:
        raise EditorGone(f"--owner-pid: no process {pid} lives", hint="pass the pid of a process that runs")
    return {"pid": pid, "start_token": identity.start_token}
