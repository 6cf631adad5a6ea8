"""The command that writes runs, plans and what came of them as one page to be sent."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import print_json
from core.cli.written import write_text

if TYPE_CHECKING:
    from core.jobs.run import Run

MOST_IDS = 4  # in the name of a file


@command(
    "secateur report 3f2a",
    "secateur report 3f2a 77d0 --plan small --out for-anna.html  # two maps beside each other, a plan and its outcome",
)
@click.argument("which", nargs=-1, required=True, metavar="RUN…")
@click.option(
    "--plan", type=click.Path(), metavar="PLAN", help="Also this plan, line by line: its id or name, or a plan file."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write the page to this file, over what is there.  [default: report-RUN.html]",
)
def report(which: tuple[str, ...], plan: str | None, out: Path | None, workspace: Path, as_json: bool) -> None:
    """Write one HTML file with maps, plans beside what was measured of them, recoveries, and how all was measured.

    RUN is a sweep, a measured plan, an export or a recovery, by its id, the beginning of it, or its name. The file
    opens without a network and without a script, and names no folder of this machine.
    """
    from core.reports.gathered import gather
    from core.reports.page import page

    found = gather(open_store(workspace, create=False), which, plan)
    path = out or Path(f"report-{_named(found.runs)}.html")
    write_text(path, page(found, time.time()))
    n_bytes = path.stat().st_size
    if as_json:
        runs = [run.id for run in found.runs]
        print_json({"file": str(path.resolve()), "bytes": n_bytes, "runs": runs, "plans": len(found.measured)})
    else:
        click.echo(f"Wrote {path} ({n_bytes / 1000:,.0f} kB). It opens in any browser, without a network.")


def _named(runs: "Sequence[Run]") -> str:
    """Runs in the name of a file, which may have 255 letters."""
    ids = [run.id for run in runs[:MOST_IDS]]
    return "-".join([*ids, f"and-{len(runs) - MOST_IDS}-more"] if len(runs) > MOST_IDS else ids)
