import pytest

from supervisor.engine.environments.installer_output import index_lacks, versions_offered

PIP = """
ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: 3.2.5, 4.0.0, 4.10.0)
ERROR: No matching distribution found for godot-ai==9.9.9
"""
PIP_NOTHING = "ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: none)"
PIP_DEPENDENCY = """
ERROR: Could not find a version that satisfies the requirement fastmcp==9 (from godot-ai) (from versions: 1.0)
"""
UV_RANGES = """
  cause: Because only the following versions of godot-ai are available:
             godot-ai<=4.3.0
             godot-ai>=4.3.1
         and you require godot-ai>4.3.0,<4.3.1, we can conclude that your requirements are unsatisfiable.
"""
UV_LISTED = """
  ╰─▶ Because only the following versions of godot-ai are available:
          godot-ai==3.2.5
          godot-ai==4.3.0
      and you require godot-ai==9.9.9, we can conclude that your requirements are unsatisfiable.
"""
UV_NEWEST = (
    "  cause: Because only godot-ai<=4.3.1 is available and you require godot-ai>9.9.9, we can conclude that your"
)
UV_NOTHING = (
    "  cause: Because there is no version of godot-ai==9.9.9 and you require godot-ai==9.9.9, we can conclude that"
)


@pytest.mark.parametrize(
    ("output", "versions"),
    [
        (PIP, ["3.2.5", "4.0.0", "4.10.0"]),
        (PIP_NOTHING, []),
        (PIP_DEPENDENCY, []),
        (UV_RANGES, ["4.3.0", "4.3.1"]),
        (UV_LISTED, ["3.2.5", "4.3.0"]),
        (UV_NEWEST, ["4.3.1"]),
        (UV_NOTHING, []),
        ("", []),
    ],
)
def test_the_versions_that_an_installer_offers_are_found(output: str, versions: list[str]) -> None:
    assert versions_offered("godot-ai", output) == versions


PIP_MISSING = """
ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: 4.3.0, 4.3.1)
ERROR: No matching distribution found for godot-ai==9.9.9"""
PIP_OFFLINE = """WARNING: Retrying (Retry(total=0)) after connection broken: /simple/godot-ai/
ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: none)
ERROR: No matching distribution found for godot-ai==9.9.9"""
PIP_OTHER_PYTHON = """
ERROR: Ignored the following versions that require a different python version: 9.9.9 Requires-Python >=4
ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: 4.3.0, 4.3.1)
ERROR: No matching distribution found for godot-ai==9.9.9"""
UV_MISSING = """  x No solution found when resolving dependencies:
  --> Because there is no version of
      godot-ai==9.9.9 and you require godot-ai==9.9.9, we can conclude that your requirements are unsatisfiable."""
UV_OTHER_PYTHON = """  --> Because the current Python version (3.11.7) does not satisfy Python>=3.13 and godot-ai==9.9.9
      depends on Python>=3.13, we can conclude that godot-ai==9.9.9 cannot be used."""
UV_DEPENDENCY = """  --> Because there is no version of fastmcp==9.9.9 and godot-ai==9.9.9 depends on fastmcp==9.9.9"""


@pytest.mark.parametrize("said", [PIP_MISSING, UV_MISSING, UV_MISSING.replace("godot-ai", "Godot_AI")])
def test_a_version_that_the_index_lacks_is_recognised(said: str) -> None:
    assert index_lacks("godot-ai", "9.9.9", said)
    assert not index_lacks("godot-ai", "9.9", said)
    assert not index_lacks("godot", "9.9.9", said)


@pytest.mark.parametrize("said", [PIP_OFFLINE, PIP_OTHER_PYTHON, UV_OTHER_PYTHON, UV_DEPENDENCY, "", "No space left"])
def test_another_failure_is_not_a_missing_version(said: str) -> None:
    assert not index_lacks("godot-ai", "9.9.9", said)
