import pytest

from tests.engine.answers import Answers


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What servers answer, in the place of HTTP."""
    given = Answers()
    monkeypatch.setattr("supervisor.engine.identification.server_client.identify", given.identify)
    monkeypatch.setattr("supervisor.engine.identification.recognise.identify", given.identify)
    return given
