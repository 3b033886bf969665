"""Recognises programs that only start another program and wait for it, by their command lines. Pure.

To end a server, the daemon also ends the runners above it, but never a program that is not recognised here. The
option letters of a shell keep their case: `-c` is not `-C`.
"""

from collections.abc import Callable, Mapping, Sequence

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ash", "ksh"})

BASH_FLAGS = frozenset(
    {
        *("debug", "debugger", "dump-po-strings", "dump-strings", "help", "login", "noediting", "noprofile", "norc"),
        *("posix", "pretty-print", "protected", "restricted", "verbose", "version", "wordexp"),
    }
)
"""Options that bash takes with one dash or two, before all others (shell.c, long_args)."""

BASH_FILES = frozenset({"init-file", "rcfile"})
"""Such options that are followed by a file name."""

UV_VALUES = frozenset(
    {
        *("--allow-insecure-host", "--cache-dir", "--color", "--config-file", "--directory", "--project"),
        *("--python-fetch", "--python-preference"),
    }
)
"""Options of uv, before its command, that take their value from the next word."""

NPM_VALUES = frozenset({"-p", "--package", "-w", "--workspace", "--prefix", "--cache", "--registry", "--userconfig"})

NODE_FLAGS = ("--no-", "--enable-source-maps", "--trace-warnings", "--trace-deprecation")

CMD_FLAGS = frozenset("sdqaux")
CMD_SETTINGS = ("t:", "e:", "f:", "v:")

POWERSHELL_FLAGS = ("nologo", "noprofile", "noninteractive", "sta", "mta", "login")
POWERSHELL_VALUES = ("executionpolicy", "inputformat", "outputformat", "version", "windowstyle", "workingdirectory")
POWERSHELL_SHORT = {"ep": "executionpolicy", "ex": "executionpolicy", "wd": "workingdirectory", "w": "windowstyle"}


def is_runner(command: Sequence[str]) -> bool:
    """Return whether this command line only starts another program, and waits for it.

    A shell counts only with `-c`, because a shell that is interactive or runs a script belongs to its user. `env`
    never counts: it becomes the program that it starts.
    """
    if not command:
        return False
    if command[0].startswith(("npm exec ", "npx ")):
        # npm writes its whole command line into the first word.
        return _npx(command[0].removeprefix("npm exec ").removeprefix("npx ").split() + list(command[1:]))
    words = list(command[1:])
    name = _name(command[0])
    if name == "busybox" and words:
        name = _name(words.pop(0))
    if name in SHELLS:
        return _shell(name, words)
    runner = RUNNERS.get(name)
    return runner is not None and runner(words)


def _name(word: str) -> str:
    """Return the name of a program, also as login shells and Windows spell it."""
    base = word.replace("\\", "/").rpartition("/")[2].lower()
    return base.removeprefix("-").removesuffix(".exe").removesuffix(".cmd")


def _shell(name: str, words: Sequence[str]) -> bool:
    """Return whether a shell was given a command by `-c`. `words` follow its name."""
    queue, runs, letters_seen = list(words), False, False
    while queue and len(queue[0]) > 1 and queue[0][0] in "-+":
        word = queue.pop(0)
        if word == "--":
            break
        long = word[2:] if word.startswith("--") else word[1:]
        if name == "bash" and word[0] == "-" and not letters_seen and long in BASH_FLAGS | BASH_FILES:
            queue = queue[1:] if long in BASH_FILES else queue
        elif word.startswith("--"):
            if name != "zsh" or long == "emulate":
                return False
        elif not (word[1:].isascii() and word[1:].isalpha()):
            return False
        else:
            letters_seen = True
            runs = runs or (word[0] == "-" and "c" in word)
            # Each `o`, and bash's `O`, takes the name of an option from the next word.
            queue = queue[word.count("o") + (word.count("O") if name == "bash" else 0) :]
    return runs and bool(queue)


def _uv(words: Sequence[str]) -> bool:
    """Return whether uv was told to run something: `uv run`, `uv x`, `uv tool run`, `uv tool uvx`."""
    commands = _operands(words, UV_VALUES)
    if commands[:1] == ["tool"]:
        return commands[1:2] in (["run"], ["uvx"]) and bool(commands[2:])
    return commands[:1] == ["run"] and len(words) > words.index("run") + 1


def _npx(words: Sequence[str]) -> bool:
    """Return whether npx was given something to run. Without it, npx opens an interactive shell."""
    calls = any(word in ("-c", "--call") or word.startswith("--call=") for word in words)
    return calls or bool(_operands(words, NPM_VALUES))


def _npm(words: Sequence[str]) -> bool:
    commands = _operands(words, NPM_VALUES)
    return commands[:1] in (["exec"], ["x"]) and _npx(words[words.index(commands[0]) + 1 :])


def _node(words: Sequence[str]) -> bool:
    """Return whether node runs npx, by npm's own script. An option that may take a value proves nothing."""
    queue = list(words)
    while queue and queue[0].startswith(NODE_FLAGS):
        queue.pop(0)
    script = _name(queue[0]).removesuffix(".js") if queue else ""
    if script in ("npx", "npx-cli"):
        return _npx(queue[1:])
    return script in ("npm", "npm-cli") and _npm(queue[1:])


def _cmd(words: Sequence[str]) -> bool:
    """Return whether cmd was given a command by /c. With /k it stays open. The first of the two counts."""
    for word in words:
        if not word.startswith("/"):
            return False
        for option in word.lower()[1:].split("/"):
            if option[:1] == "c":
                return len(option) > 1 or word is not words[-1]
            if option not in CMD_FLAGS and not option.startswith(CMD_SETTINGS):
                return False
    return False


def _powershell(words: Sequence[str]) -> bool:
    """Return whether PowerShell was given a command and ends with it. Its options may be abbreviated."""
    queue = list(words)
    while queue and queue[0][:1] in ("-", "/"):
        option = queue.pop(0)[1:].lower().removeprefix("-")
        if option and "command".startswith(option):
            return bool(queue) and queue[0] != "-"
        if option in POWERSHELL_SHORT or (option and any(value.startswith(option) for value in POWERSHELL_VALUES)):
            queue = queue[1:]
        elif not (option[2:] and any(flag.startswith(option) for flag in POWERSHELL_FLAGS)):
            # -NoExit keeps the shell open; -File runs a user's script; other options are unknown. Two letters do not
            # tell -NoProfile from -NoExit.
            return False
    return False


def _operands(words: Sequence[str], values: frozenset[str]) -> list[str]:
    """Return the words that are neither an option nor the value of one of these options."""
    found: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            return [*found, *queue]
        if word in values:
            queue = queue[1:]
        elif not word.startswith("-"):
            found.append(word)
    return found


RUNNERS: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "uvx": lambda words: bool(_operands(words, UV_VALUES)),
    "uv": _uv,
    "npx": _npx,
    "npm": _npm,
    "node": _node,
    "cmd": _cmd,
    "powershell": _powershell,
    "pwsh": _powershell,
}
