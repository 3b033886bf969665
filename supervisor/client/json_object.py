"""The type of a decoded JSON object. Cheap to import: every command-line query pays for it."""

from collections.abc import Mapping
from typing import Any

JsonObject = Mapping[str, Any]
"""The params or the result of a call, or an object inside them. `docs/protocol.schema.json` says what each has."""
