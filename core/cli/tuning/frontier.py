"""The command that draws a frontier: plans for several budgets, measured and timed on one engine."""

import csv
from pathlib import Path
from typing import Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import open_store
from core.cli.options import ALIGN_HELP, AlignType, ListType, SamplesType, detach_option, pythons_option
from core.cli.tuning.goals import (
    COST_HELP,
    KIND_NAMES,
    check_steps,
    criterion_option,
    cut_option,
    kind_of_name,
    known,
    repaired_option,
)
from core.cli.tuning.writing import check_waits
from core.errors import SecateurError
from core.profiling.frontier.request import PEERS, FrontierRequest, even_budgets
from core.profiling.pays.request import TIMED_NAMES


class _BudgetsType(click.ParamType[Any]):
    """How many budgets, or the budgets themselves."""

    name = "N|LEFT,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Click's hook."""
        if not isinstance(value, str):
            return value
        words = value.replace(",", " ").split()
        try:
            return int(words[0]) if len(words) == 1 and "." not in words[0] else tuple(map(float, words))
        except (ValueError, IndexError):
            self.fail(f"expected a number of budgets such as 6, or shares such as 0.8,0.5, got {value!r}", param, ctx)


@command(
    "secateur frontier fashion-resnet --engine onnx  # six budgets, beside uniform, LAMP and ERK",
    "secateur frontier fashion-resnet --engine openvino --budgets 0.8,0.5,0.3 --cost parameters --out frontier.csv",
    "secateur frontier fashion-resnet --engine litert --python litert=/opt/litert/bin/python",
)
@click.argument("model")
@click.option(
    "--engine",
    required=True,
    metavar="NAME",
    help=f"Whose milliseconds and bytes are measured: one of {', '.join(TIMED_NAMES)}.",
)
@click.option(
    "--budgets",
    type=_BudgetsType(),
    default=6,
    show_default=True,
    help="So many shares of the cost, evenly apart; or the shares that may be left, each in (0, 1).",
)
@click.option(
    "--cost", "kind", type=click.Choice(KIND_NAMES), default="flops", show_default=True, callback=kind_of_name,
    help=f"{COST_HELP} The budgets are shares of it; the time on the engine is measured in any case.",
)  # fmt: skip
@click.option(
    "--peers",
    type=ListType(str, "uniform,lamp", may_be_empty=True),
    default=",".join(PEERS),
    show_default=True,
    metavar="NAME,…",
    help="Allocations that make a plan for each budget too; empty for none.",
)
@click.option(
    "--align", type=AlignType(),
    help=f"{ALIGN_HELP}; auto: the widths at which the engine's measured steps end, in the peers' plans too.  "
    "[default: auto with --cost milliseconds, else any width]",
)  # fmt: skip
@cut_option
@criterion_option
@repaired_option
@click.option(
    "--samples", type=SamplesType(), default=None,
    help="Evaluation examples that quality is measured on, of those that nothing was chosen by.  [default: 2,000]",
)  # fmt: skip
@click.option(
    "--recover", "epochs", type=float, default=0.0, metavar="EPOCHS",
    help="Also fine-tune each plan for so many epochs, its masks held, and compare the drops after that.",
)  # fmt: skip
@click.option("--threads", type=int, default=1, show_default=True, help="Threads within one operation.")
@click.option("--batch", type=int, default=1, show_default=True, help="Examples per forward pass.")
@click.option(
    "--rounds", type=int, default=20, show_default=True, help="How often each model of a budget has its turn."
)
@click.option(
    "--seconds",
    type=float,
    default=30.0,
    show_default=True,
    help="Of timing for one budget, after which no new round begins.",
)
@pythons_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the table to this file too, as CSV."
)
@detach_option
def frontier(
    model: str,
    engine: str,
    budgets: Any,
    kind: Any,
    peers: tuple[str, ...],
    align: Any,
    granularities: tuple[str, ...] | None,
    criterion: str | None,
    repair: str | None,
    samples: Any,
    epochs: float,
    threads: int,
    batch: int,
    rounds: int,
    seconds: float,
    pythons: tuple[tuple[str, str], ...],
    out: Path | None,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Make plans of MODEL for several budgets, and show what each costs in quality and brings on an engine.

    Each plan is solved for by what sweeps measured, judged on examples that nothing was chosen by, made smaller and
    timed in turn with the dense model. Beside them: the plans of other allocations at the same budgets. Every plan is
    kept in the plan book.
    """
    from core.jobs.known.findings import ends_of, saved_time_of
    from core.jobs.launch import start_frontier

    check_waits(out, detach)
    if others := [name for name, _ in pythons if name != engine]:
        raise SecateurError(f"--python names {others[0]}, and the plans are timed on {engine}: give {engine}=PATH")
    request = FrontierRequest(
        engine, even_budgets(budgets) if isinstance(budgets, int) else budgets, kind, granularities, criterion, repair,
        peers, epochs, samples, threads, batch, rounds, seconds, dict(pythons).get(engine), align,
    )  # fmt: skip
    store = open_store(workspace)
    found, predictor = known(store, model, repair)  # what was not swept is said before a worker starts
    check_steps(align, granularities, kind, predictor)
    if kind == "milliseconds":
        saved_time_of(store, found, engine)
    ends_of(store, found, request.steps, engine)
    run, is_new = start_frontier(store, found.ref, request)
    follow(store, run, is_new, detach, as_json)
    if out is not None:
        _write(store.frontier_report(store.get(run.id)), out)


def _write(report: Any, out: Path) -> None:
    from core.profiling.frontier.frontier_words import COLUMNS, csv_rows

    try:
        with out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(csv_rows(report))
    except OSError as error:
        raise SecateurError(f"cannot write {out}: {error.strerror}") from None
    click.echo(f"Wrote {out}.", err=True)
