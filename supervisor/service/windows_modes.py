"""The modes in which Windows can start the daemon, and the choice of one."""

from enum import StrEnum

from ..errors import InvalidParams, ServiceRefused

REFUSED_ACCOUNTS = frozenset(
    {"localsystem", "system", "localservice", "local service", "networkservice", "network service"}
)
"""Accounts of the machine, which are refused for an account-service."""


class Mode(StrEnum):
    """How Windows starts the daemon."""

    USER_SERVICE = "user-service"
    TASK = "task"
    ACCOUNT_SERVICE = "account-service"


def choose_mode(mode: str | None, *, elevated: bool) -> tuple[Mode, str]:
    """Return the mode in which the daemon is started, and the reason.

    Raises:
        ServiceRefused: the mode needs an elevated prompt, and this prompt is not elevated.
    """
    if mode is None:
        if elevated:
            return Mode.USER_SERVICE, "this prompt is elevated; --mode task makes a logon task instead"
        return Mode.TASK, "this prompt is not elevated; a service, which restarts faster, needs an elevated prompt"
    if mode != Mode.TASK and not elevated:
        raise ServiceRefused(f"mode {mode} needs an elevated prompt", hint="or: service install --mode task")
    return Mode(mode), "as you said"


def checked_account(account: str | None) -> str:
    """Return the account of an account-service, complete with its domain.

    Raises:
        InvalidParams: no account is given, or it is one of the machine's own.
    """
    if not account:
        raise InvalidParams("account", "an account-service runs as a user", hint=r"--account .\NAME")
    if account.rpartition("\\")[2].casefold() in REFUSED_ACCOUNTS:
        raise InvalidParams(
            "account",
            f"{account} is refused: the code of every project would run with the machine's own rights, and see "
            "another profile than yours",
            hint=r"use the account of a person: --account .\NAME",
        )
    return account if "\\" in account or "@" in account else f".\\{account}"
