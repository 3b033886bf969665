"""The folders from which the places of AI clients' files are computed, as programs with this environment find them."""

from collections.abc import Mapping
from pathlib import Path

from ...native.shared.settings_folders import roaming_folder, user_home


class Places:
    """The folders of one user. `environment` has the variables that move them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    @property
    def home(self) -> Path:
        """Return the user's home folder."""
        return user_home(self._environment)

    @property
    def xdg_config(self) -> Path:
        """Return the folder for settings of programs that follow the XDG rules on every system."""
        return self._variable("XDG_CONFIG_HOME") or self.home / ".config"

    @property
    def vscode_folder(self) -> Path:
        """Return the folder in which VS Code has the folder `User` of the default profile."""
        portable = self._variable("VSCODE_PORTABLE")
        if portable is not None:
            return portable / "user-data"
        return (self._variable("VSCODE_APPDATA") or roaming_folder(self._environment)) / "Code"

    def variable_or_home(self, variable: str, folder: str) -> Path:
        """Return the folder that a variable names, or else this folder in the user's home."""
        return self._variable(variable) or self.home / folder

    def _variable(self, name: str) -> Path | None:
        """Return the folder that a variable names. Returns None if it is not set, or not to an absolute path."""
        value = self._environment.get(name, "")
        return Path(value) if value and Path(value).is_absolute() else None
