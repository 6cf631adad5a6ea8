"""Options that certificates and gates share."""

from collections.abc import Callable
from typing import Any

import click

from core.cli.tolerance import PointsType


def margin_option(what: str) -> Callable[[Any], Any]:
    """`--within POINTS`, of which `what` says what it bounds."""
    return click.option(
        "--within",
        type=PointsType(),
        metavar="POINTS",
        default=1.0,
        show_default=True,
        help=f"{what}: points of a fraction (1 is one point), else the metric's unit.",
    )
