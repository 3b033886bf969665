"""The choice of the platform."""

import subprocess
import sys

import pytest

from supervisor.errors import PlatformUnsupported
from supervisor.native.platforms import open_platform


@pytest.mark.linux_only
def test_linux_has_a_platform() -> None:
    from supervisor.native.linux.system import PidfdWatcher

    assert isinstance(open_platform().exits, PidfdWatcher)


def test_an_unknown_system_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(PlatformUnsupported, match="plan9"):
        open_platform()


def test_choosing_is_cheap_to_import() -> None:
    heavy = "import sys, supervisor.native.platforms; print({'asyncio', 'subprocess', 'psutil'} & sys.modules.keys())"
    said = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
