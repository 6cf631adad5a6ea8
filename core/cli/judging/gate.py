"""The command that says whether a model is worse than another."""

import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from core.cli.command import command
from core.cli.judging.judging_options import margin_option
from core.cli.options import confidence_option, device_option, print_json
from core.cli.tables.frame import new_table, print_table
from core.cli.written import write_text
from core.errors import SecateurError


def _guards(given: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for text in given:
        column, sign, value = text.rpartition("=")
        try:
            points = float(value)
        except ValueError:
            points = -1.0
        if not sign or not column or not 0 <= points < float("inf"):
            raise SecateurError(f"--guard expects COLUMN=POINTS, such as class=2, got {text!r}")
        if column in found:
            raise SecateurError(f"--guard names the column {column!r} twice; give it one margin")
        found[column] = points
    return found


@command(
    "secateur gate out/small fashion-vit --within 1  # is the bundle worse than the dense model?",
    "secateur gate new.safetensors my_workload.py --within 0.5 --guard class=3 --markdown gate.md --junit gate.xml",
)
@click.argument("candidate")
@click.argument("baseline")
@margin_option("The loss that is accepted")
@click.option(
    "--guard",
    "guards",
    multiple=True,
    metavar="COLUMN=POINTS",
    help="Nor may any group of this column lose more than that; may be given several times.",
)
@confidence_option("That the answer, whichever it is, is not wrong")
@click.option(
    "--on",
    "which",
    type=click.Choice(["unseen", "all"]),
    help="unseen: the examples that are set aside for certificates, or that the workload names as holdout. all: every "
    "example.  [default: unseen where one is a bundle or recovered, for it was chosen by the others; else all]",
)
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the answer to this file, for a pull request.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the answer to this file, as JUnit XML.")
@click.option("--model", help="What a bundle was made of, if it is a workload file other than BASELINE.")
@device_option
def gate(
    candidate: str,
    baseline: str,
    within: float,
    guards: tuple[str, ...],
    confidence: float,
    which: str | None,
    markdown: Path | None,
    junit: Path | None,
    model: str | None,
    device: str,
    workspace: Path,
    as_json: bool,
) -> None:
    """Say whether CANDIDATE is worse than BASELINE on the same examples: worse, not worse, or can't tell yet.

    CANDIDATE is a bundle (folder or zip), weights in a .safetensors file for the baseline's model, or named as any
    MODEL; BASELINE is a bundle or a MODEL. Ends with 0 if it is not worse, with 1 if it is worse, and with 3 if that
    takes more examples than there are. A gate on examples that are set aside is noted in the workspace, if there is
    one: it counts as a plan that was looked at, and the next certificate on them is judged more strictly.
    """
    from core.certificates import gate_words
    from core.certificates.gate import EXIT_CODES, Margins
    from core.delivery.bundles.compared import gated, named_pair
    from core.jobs.known.certificates import note_gate
    from core.jobs.runs import RunStore
    from core.workspace import DATABASE, Workspace

    asked = _guards(guards)
    with redirect_stdout(sys.stderr), named_pair(candidate, baseline, model) as (after, before):
        factor = before.workload.metric.scale.factor
        margins = Margins(
            within / factor, {column: points / factor for column, points in asked.items()}, confidence / 100
        )
        held = before.workload.holdout is not None or before.workload.n_held > 0
        unseen = which == "unseen" if which else held and (after.chosen or before.chosen)
        asked_for = {"candidate": candidate, "baseline": baseline, **asdict(margins), "unseen": unseen}

        def on_held(examples: str) -> None:
            if (workspace / DATABASE).is_file():
                models = [one.state for one in (after, before) if one is after or one.chosen]
                runs = RunStore(Workspace(workspace, create=False))
                note_gate(runs, before.ref, asked_for, examples, list(dict.fromkeys(models)))

        report = gated(after, before, margins, unseen, device, on_held=on_held)
    for path, text in ((markdown, gate_words.markdown), (junit, gate_words.junit)):
        if path is not None:
            write_text(path, text(report, candidate, baseline))
    if as_json:
        print_json({**report.to_json(), "candidate": candidate, "baseline": baseline, "unseen": unseen})
    else:
        console = Console(soft_wrap=True, highlight=False)
        console.print(gate_words.verdict_line(report, candidate, baseline), markup=False)
        table = new_table(*gate_words.columns_of(report))
        for row in report.rows:
            table.add_row(*map(escape, gate_words.row_cells(report, row)))
        print_table(table)
        for note in gate_words.notes(report):
            console.print(note, markup=False)
    raise click.exceptions.Exit(EXIT_CODES[report.verdict])
