import os
from pathlib import Path

import pytest

from supervisor.config.settings import Config, Source, load
from supervisor.errors import ConfigInvalid
from supervisor.native import private_files
from tests.privilege import IS_ROOT, ONLY_ROOT
from tests.systems import POSIX_ONLY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    return folder / "config.toml"


def write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def refusal(file: Path, environment: dict[str, str] | None = None) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        load(file, environment or {})
    return caught.value


def test_missing_file_leaves_every_default(file: Path) -> None:
    config = load(file, {})
    assert config == Config()
    assert (config.log_level, config.event_loop, config.discover) == ("info", "auto", "watch")
    assert config.environments is None
    assert config.source("daemon.log_level") is Source.DEFAULT


def test_values_from_the_file_have_the_file_as_source(file: Path) -> None:
    write(
        file,
        '[daemon]\nlog_level = "debug"\ndiscover = "observe"\nenvironments = "~/environments"\n'
        '[kinds.godot-ai]\nversion = "4.3.1"\n',
    )
    config = load(file, {})
    assert (config.log_level, config.discover) == ("debug", "observe")
    assert config.environments == Path.home() / "environments"
    assert config.kinds == {"godot-ai": {"version": "4.3.1"}}
    assert config.source("daemon.discover") is Source.FILE
    assert config.source("kinds.godot-ai.version") is Source.FILE
    assert config.source("daemon.event_loop") is Source.DEFAULT


def test_the_environment_beats_the_file(file: Path) -> None:
    write(file, '[daemon]\nlog_level = "debug"\nevent_loop = "proactor"\n')
    variables = {"GODOT_SUPERVISOR_LOG_LEVEL": "error", "GODOT_SUPERVISOR_EVENT_LOOP": "selector"}
    config = load(file, variables)
    assert (config.log_level, config.event_loop) == ("error", "selector")
    assert config.source("daemon.log_level") is config.source("daemon.event_loop") is Source.ENVIRONMENT


def test_empty_variable_is_ignored(file: Path) -> None:
    assert load(file, {"GODOT_SUPERVISOR_LOG_LEVEL": ""}).log_level == "info"


def test_invalid_variable_is_named(file: Path) -> None:
    error = refusal(file, {"GODOT_SUPERVISOR_EVENT_LOOP": "uvloop"})
    assert "GODOT_SUPERVISOR_EVENT_LOOP" in error.message
    assert error.hint == "one of auto, selector, proactor"


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("[demon]\n", "demon", "daemon, kinds"),
        ('[daemon]\nlog_levle = "info"\n', "daemon.log_levle", "log_level, event_loop, discover, environments"),
        ("[daemon]\nlog_level = 3\n", "daemon.log_level", "one of debug, info, warning, error, critical"),
        ('[daemon]\ndiscover = "always"\n', "daemon.discover", "one of watch, observe, off"),
        ("[daemon]\ndiscover = [[]]\n", "daemon.discover", "one of watch, observe, off"),
        (
            '[daemon]\nenvironments = "here"\n',
            "daemon.environments",
            "write an absolute path, or one that begins with ~",
        ),
        ("[daemon]\nenvironments = 1\n", "daemon.environments", "write an absolute path, or one that begins with ~"),
        ("daemon = 1\n", "daemon", "write [daemon]"),
        ("kinds = 1\n", "kinds", "write [kinds]"),
        ("[kinds]\nx = 1\n", "kinds.x", "write [kinds.x]"),
    ],
)
def test_wrong_key_is_named_with_file_and_allowed_keys(file: Path, text: str, key: str, allowed: str) -> None:
    error = refusal(write(file, text))
    assert f"{file}: {key}: " in error.message
    assert allowed in (error.hint or "")
    assert error.data == {"file": str(file), "key": key}


def test_a_syntax_error_names_file_and_line(file: Path) -> None:
    error = refusal(write(file, '[daemon]\nlog_level = "info"\nwhat is this\n'))
    assert str(file) in error.message
    assert "line 3" in error.message


def test_a_syntax_error_at_the_end_names_the_last_line(file: Path) -> None:
    error = refusal(write(file, '[daemon]\nlog_level = "info"\n[kinds.mine'))
    assert error.message.startswith(f"{file}: line 3: not valid TOML: ")
    assert (error.data["line"], error.hint) == (3, "mend line 3, the last one")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("\nx = " + "[" * 5000, 2, "nested too deeply"),
        ("x = " + "{a=" * 5000, 1, "nested too deeply"),
        ("\n\nx = " + "9" * 6000, 3, "a value is not valid"),
        ("[kinds.a]\n\n" + "a." * 8000 + "b = 1", 3, "more than 32 parts"),
        ("[" + "a.'b'." * 4000 + "c]", 1, "more than 32 parts"),
        ("x = {" + '"a" . ' * 8000 + "b = 1}", 1, "more than 32 parts"),
        ("[daemon]\n\0", 2, "NUL"),
    ],
)
def test_content_that_breaks_the_parser_is_a_typed_error_with_line(
    file: Path, text: str, line: int, problem: str
) -> None:
    error = refusal(write(file, text))
    assert problem in error.message
    assert (error.data["file"], error.data["line"]) == (str(file), line)


@pytest.mark.parametrize("number", ["0x" + "f" * 6000, "0b1" + "0" * 64, "-9223372036854775809"])
def test_integer_of_more_than_64_bits_is_refused_with_its_key(file: Path, number: str) -> None:
    error = refusal(write(file, f"[kinds.mine]\ngrace_s = {number}\n"))
    assert error.message == f"{file}: kinds.mine.grace_s: a number of more than 64 bits"


def test_a_file_beyond_the_limit_is_not_read(file: Path) -> None:
    assert "longer than 1024 KiB" in refusal(write(file, "#" * (1024 * 1024 + 1))).message
    assert load(write(file, "#" * (1024 * 1024)), {}) == Config()


def test_many_dots_in_a_text_are_not_a_long_key(file: Path) -> None:
    words = ".".join(["a"] * 100)
    text = f'[kinds.mine]\ncommand = ["x", "{words}", "y"]\n'
    assert load(write(file, text), {}).kinds["mine"]["command"] == ["x", words, "y"]


def test_quoted_values_are_shortened(file: Path) -> None:
    assert len(refusal(write(file, f'[daemon]\nlog_level = "{"x" * 100_000}"\n')).message) < 1000
    assert len(refusal(write(file, f"[daemon]\n{'x' * 100_000} = 1\n")).message) < 1000


def test_mistyped_key_gets_the_nearest_one_as_hint(file: Path) -> None:
    error = refusal(write(file, '[daemon]\nlog_levle = "info"\n'))
    assert (error.hint or "").startswith("did you mean log_level? allowed: ")


def test_too_many_kinds_are_refused(file: Path) -> None:
    tables = "".join(f"[kinds.k{number}]\n" for number in range(1001))
    assert "kinds: more than 1000 kinds" in refusal(write(file, tables)).message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_another_encoding_is_named(file: Path, encoding: str) -> None:
    file.write_bytes('[daemon]\n# ä\nlog_level = "info"\n'.encode(encoding))
    file.chmod(0o600)
    assert "UTF-8" in (refusal(file).hint or "")


def test_byte_order_mark_is_accepted(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf[daemon]\nlog_level = "error"\n')
    file.chmod(0o600)
    assert load(file, {}).log_level == "error"


def test_undecodable_bytes_are_a_typed_error(file: Path) -> None:
    file.write_bytes(b"[daemon]\n# \xff\n")
    file.chmod(0o600)
    assert "UTF-8" in refusal(file).message


def test_a_folder_in_the_files_place_is_a_typed_error(file: Path) -> None:
    file.mkdir(mode=0o700)
    assert str(file) in refusal(file).message


@POSIX_ONLY
def test_a_fifo_in_the_files_place_does_not_hang(file: Path) -> None:
    os.mkfifo(file, 0o600)
    assert "not a regular file" in refusal(file).message


@pytest.fixture
def company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every group have another member."""
    monkeypatch.setattr(private_files, "is_own_group", lambda path, group: False)  # noqa: ARG005


@POSIX_ONLY
def test_file_writable_by_the_users_own_group_is_accepted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(private_files, "is_own_group", lambda path, group: not asked.append(group))  # noqa: ARG005
    write(file, '[daemon]\nlog_level = "error"\n').chmod(0o664)
    file.parent.chmod(0o775)
    assert load(file, {}).log_level == "error"
    assert asked == [file.stat().st_gid, file.parent.stat().st_gid]


@POSIX_ONLY
@pytest.mark.usefixtures("company")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_write_is_refused_with_a_remedy(file: Path, mode: int) -> None:
    write(file, "").chmod(mode)
    error = refusal(file)
    assert str(file) in error.message
    assert error.hint == f"chmod go-w '{file}'"


@POSIX_ONLY
def test_a_folder_that_others_may_write_is_refused(file: Path) -> None:
    write(file, "")
    file.parent.chmod(0o1777)
    assert refusal(file).hint == f"chmod go-w '{file.parent}'"


@POSIX_ONLY
@pytest.mark.usefixtures("company")
def test_a_link_is_followed_and_its_target_checked(file: Path, tmp_path: Path) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir(mode=0o700)
    file.symlink_to(write(dotfiles / "config.toml", '[daemon]\nlog_level = "error"\n'))
    assert load(file, {}).log_level == "error"
    dotfiles.chmod(0o770)
    assert refusal(file).hint == f"chmod go-w '{dotfiles}'"


@POSIX_ONLY
def test_file_that_others_may_read_is_accepted(file: Path) -> None:
    write(file, '[daemon]\nlog_level = "error"\n').chmod(0o644)
    file.parent.chmod(0o755)
    assert load(file, {}).log_level == "error"


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT, reason=ONLY_ROOT)
@pytest.mark.parametrize("foreign", ["file", "folder"])
def test_file_of_another_user_is_refused(file: Path, foreign: str) -> None:
    write(file, "")
    os.chown(file if foreign == "file" else file.parent, 12345, -1)
    error = refusal(file)
    assert "uid 12345" in error.message
    assert (error.hint or "").startswith("sudo chown 0 ")
