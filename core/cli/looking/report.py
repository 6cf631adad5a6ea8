"""The command that writes runs, plans and what came of them as one page to be sent."""

import time
from pathlib import Path

import click

from core.cli.command import command
from core.cli.opening import open_store
from core.cli.options import print_json
from core.errors import SecateurError


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
    path = out or Path(f"report-{'-'.join(run.id for run in found.runs)}.html")
    text = page(found, time.time())
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SecateurError(f"cannot write {path}: {error.strerror}; choose another with --out") from None
    n_bytes = path.stat().st_size
    if as_json:
        runs = [run.id for run in found.runs]
        print_json({"file": str(path.resolve()), "bytes": n_bytes, "runs": runs, "plans": len(found.measured)})
    else:
        click.echo(f"Wrote {path} ({n_bytes / 1000:,.0f} kB). It opens in any browser, without a network.")
