"""Arguments and options that many verbs share."""

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

server: Decorator = click.argument("server", metavar="[ID]", required=False)

force: Decorator = click.option("--force", is_flag=True, help="Even if an editor on it is busy.")

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print the protocol's object as JSON.")

timeout: Decorator = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up after this long.",
)
