"""The current folder of another process, as every system tells it to a process of the same user. Blocking."""


def working_folder(pid: int) -> str | None:
    """Return the current folder of a process. Returns None if the system does not tell."""
    import psutil

    try:
        return str(psutil.Process(pid).cwd()) or None
    except (psutil.Error, OSError):
        return None
