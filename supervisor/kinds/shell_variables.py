"""Variables of a user's shell that a daemon from another shell may lack. Only their names are sent to clients."""

import re
from collections.abc import Mapping

_OPT_OUT = re.compile(
    r"DO_NOT_TRACK|(\w+_)?(DISABLE|NO|OPT_?OUT(_OF)?)_?(TELEMETRY|ANALYTICS|TRACKING)"
    r"|\w*(TELEMETRY|ANALYTICS|TRACKING)_?(DISABLED?|OPT_?OUT|OFF|ENABLED)?"
)
_NETWORK = re.compile(
    r"(HTTPS?|ALL|NO|FTP)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|PIP_\w*(INDEX|CERT|PROXY|FIND_LINKS|CONFIG_FILE)\w*|UV_\w*(INDEX|TLS|OFFLINE|CONFIG_FILE)\w*"
)


def opt_out_variables(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that say whether a program may report about its user."""
    return frozenset(name for name, value in environment.items() if value and _OPT_OUT.fullmatch(name.upper()))


def network_variables(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables that say how packages are reached: proxies, indexes, certificates."""
    return frozenset(name for name, value in environment.items() if value and _NETWORK.fullmatch(name.upper()))


def names_for_clients(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that the daemon sends to clients, which compare them with their own."""
    return tuple(sorted(opt_out_variables(environment) | network_variables(environment)))
