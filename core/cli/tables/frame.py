"""An empty table for the terminal, and how one is printed: as wide as it needs."""

from collections.abc import Container

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

PIPE_WIDTH = 1000  # a pipe has no width


def width() -> int:
    """Columns of the terminal; of a pipe, as many as anything needs."""
    console = Console()
    return console.width if console.is_terminal else PIPE_WIDTH


def new_table(first: str, *others: str, right: Container[str] = ()) -> Table:
    """An empty table; columns named in `right`, and those that are known to hold numbers, are flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in others:
        is_right = (
            name in right
            or name in ("weights", "share", "parameters", "evaluation", "targets", "heads")
            or name[:1].isdigit()
            or name.startswith("head ")
        )
        table.add_column(name, justify="right" if is_right else "left", no_wrap=name != "why")
    return table


def print_table(table: Table) -> None:
    """Print a table, as wide as it needs."""
    console = Console()
    needed = Measurement.get(console, console.options.update_width(PIPE_WIDTH), table).maximum
    # wider than the terminal wraps the line; narrower would cut ids and numbers
    console = Console(width=max(width(), needed))
    console.print(table)
    console.print()
