"""The choice of the event loop, and its signals."""

import asyncio
import signal
import threading
from pathlib import Path

import pytest

from supervisor.config.settings import Config, Source, load
from supervisor.daemon.event_loop import LoopChoice, choose_loop, handling_signals, run_to_end
from supervisor.errors import ConfigInvalid
from supervisor.native import facts

LOOPS = ("selector", "proactor") if facts.HAS_PROACTOR_LOOP else ("default", "selector")
HEARD = [name for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
PATIENCE_S = 20.0


@pytest.mark.parametrize(("has_proactor", "name"), [(True, "selector"), (False, "default")])
def test_each_system_has_its_loop_and_a_reason(*, has_proactor: bool, name: str) -> None:
    choice = choose_loop(Config(), has_proactor=has_proactor)
    assert (choice.name, choice.forced, choice.note()) == (name, False, None)
    assert choice.reason


@pytest.mark.parametrize("wanted", ["selector", "proactor"])
def test_a_wanted_loop_is_used_and_its_source_is_shown(wanted: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    by_variable = choose_loop(load(file, {"GODOT_SUPERVISOR_EVENT_LOOP": wanted}), has_proactor=True)
    assert by_variable.name == wanted
    assert by_variable.note() == f"the event loop is {wanted}: GODOT_SUPERVISOR_EVENT_LOOP says so"
    file.write_text(f'[daemon]\nevent_loop = "{wanted}"\n')
    file.chmod(0o600)
    by_file = choose_loop(load(file, {}), has_proactor=True)
    assert by_file.note() == f"the event loop is {wanted}: daemon.event_loop says so"


@pytest.mark.parametrize(
    ("source", "named"), [(Source.FILE, "daemon.event_loop"), (Source.ENVIRONMENT, "GODOT_SUPERVISOR_EVENT_LOOP")]
)
def test_a_loop_that_this_system_lacks_is_refused(source: Source, named: str) -> None:
    config = Config(event_loop="proactor", sources={"daemon.event_loop": source})
    with pytest.raises(ConfigInvalid, match=f"{named}: there is no proactor loop on {facts.SYSTEM_LABEL}") as caught:
        choose_loop(config, has_proactor=False)
    assert caught.value.hint == "auto or selector"


@pytest.mark.parametrize("name", LOOPS)
def test_the_daemon_runs_on_the_loop_that_was_chosen(name: str) -> None:
    async def live() -> int:
        return 0 if name in (type(asyncio.get_running_loop()).__name__.lower() + "default") else 1

    assert run_to_end(live(), LoopChoice(name, "the test says so")) == 0


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("heard", HEARD)
def test_a_signal_wakes_an_idle_loop(name: str, heard: str) -> None:
    async def live() -> int:
        stop = asyncio.Event()
        with handling_signals(asyncio.get_running_loop(), stop.set, lambda: None):
            # From another thread, as Windows does it. No timer would end the wait.
            sender = threading.Timer(0.05, signal.raise_signal, (getattr(signal, heard),))
            sender.start()
            await stop.wait()
            sender.join()
        return 0

    rescue = threading.Timer(PATIENCE_S, signal.raise_signal, (signal.SIGTERM,))
    rescue.daemon = True
    rescue.start()
    try:
        assert run_to_end(live(), LoopChoice(name, "the test says so")) == 0
    finally:
        rescue.cancel()


def test_signal_handlers_are_restored() -> None:
    before = [signal.getsignal(getattr(signal, name)) for name in HEARD]

    async def live() -> int:
        with handling_signals(asyncio.get_running_loop(), lambda: None, lambda: None):
            during = [signal.getsignal(getattr(signal, name)) for name in HEARD]
            assert all(now is not then for now, then in zip(during, before, strict=True))
        return 0

    # Without `run`, because asyncio.Runner handles Ctrl-C itself.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(live())
    finally:
        loop.close()
    assert [signal.getsignal(getattr(signal, name)) for name in HEARD] == before
