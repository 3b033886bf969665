import os
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.native import facts
from tests.engine.answers import Answers
from tests.engine.harness import EngineHarness
from tests.wheels import wheel


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


@pytest.fixture
def answers(harness: EngineHarness) -> Answers:
    """The answers that the servers of this engine give, in the place of HTTP."""
    given = Answers()
    harness.queries = replace(harness.queries, identify=given.identify)
    return given


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Variables for an installer whose only index is a folder with two versions of a toy and its dependency."""
    wheels = tmp_path / "wheels"
    wheel(wheels, "toy", "1.0", ("needed",))
    wheel(wheels, "toy", "2.0")
    wheel(wheels, "needed", "1.0")
    return {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
    }


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return a function that makes variables with a `uv` that makes venvs and runs a script as `uv pip install`.

    The script finds the folder of its test in $TEST, and the interpreter to install for in $PYTHON.
    """
    if facts.SYSTEM == "windows":
        pytest.skip("the stand-in for uv is a shell script")

    def make(script: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        uv = folder / "uv"
        uv.write_text(
            textwrap.dedent(
                """\
                #!/bin/sh
                case "$1 $2" in
                "cache dir") echo "$TEST/uv-cache"; exit ;;
                "venv "*)
                    mkdir -p "$5/bin" && ln -s "$4" "$5/bin/python"
                    printf 'home = %s\\ninclude-system-site-packages = false\\n' "${4%/*}" > "$5/pyvenv.cfg"
                    exit ;;
                esac
                PYTHON=$5
                for REQUIREMENT; do :; done
                echo run >> "$TEST/runs"
                NAME=${REQUIREMENT%%==*} VERSION=${REQUIREMENT##*==}
                SITE=$("$PYTHON" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
                mkdir -p "$SITE/$NAME-$VERSION.dist-info"
                printf 'Name: %s\\nVersion: %s\\n' "$NAME" "$VERSION" > "$SITE/$NAME-$VERSION.dist-info/METADATA"
                """
            )
            + textwrap.dedent(script)
        )
        uv.chmod(0o700)
        return {"PATH": f"{folder}:/usr/bin:/bin", "TEST": str(tmp_path)}

    return make
