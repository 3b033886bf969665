"""The values of a recipe's placeholders, for one server."""

from pathlib import Path

from ...core.model import ServerRecord
from ..environments.store import Environment


def placeholder_values(record: ServerRecord, private_environment: Environment | None) -> dict[str, str]:
    """Return the values of a recipe's placeholders, by name."""
    values = {name: str(port) for name, port in record.ports.items()}
    values["server_id"] = record.id
    values["project"] = record.project or ""
    values["version"] = record.version or ""
    values["log_dir"] = str(Path(record.log).parent) if record.log else ""
    if private_environment is not None:
        values["python"] = str(private_environment.python)
    return values


def own_record_values(record: ServerRecord) -> dict[str, str]:
    """Return the values of placeholders in the path of a server's own record, ports apart.

    There are none for a foreign server, because its starter has chosen them.
    """
    return {} if record.foreign else placeholder_values(record, None)
