"""What the commands that look for a plan share: options of a goal, and what is known of the model."""

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.bounded import parse_json, read_text
from core.cli.options import (
    ALIGN_HELP,
    CRITERION_HELP,
    AlignType,
    BytesType,
    FractionType,
    ListType,
    refuse_idle,
    repair_option,
)
from core.errors import SecateurError
from core.profiling.pays.request import ENGINE_NAMES, check_timed

if TYPE_CHECKING:
    from core.jobs.runs import RunStore
    from core.plans.prediction import Predictor
    from core.workload.description import Description

KIND_NAMES = ("nonzeros", "parameters", "flops", "bytes", "memory", "milliseconds", "latency")
COST_HELP = "What is to be little."
LEFT_HELP = "The most that may be left of the cost, in (0, 1]."


def kind_of_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Click's hook of `--cost`: latency is another word for milliseconds."""
    return "milliseconds" if value == "latency" else value


cost_option = click.option(
    "--cost", "kind", type=click.Choice(KIND_NAMES), default="nonzeros", show_default=True, callback=kind_of_name,
    help=f"{COST_HELP} latency and milliseconds are one: times that a profile measured. memory: bytes that a forward "
    "pass holds at once.",
)  # fmt: skip
cost_of_rows_option = click.option(
    "--cost", "kind", type=click.Choice(KIND_NAMES), callback=kind_of_name,
    help="What the rows' costs are shares of; latency and milliseconds are one.  [default: what the cuts are made of]",
)  # fmt: skip


def _timed(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        check_timed(value)
    return value


engine_option = click.option(
    "--engine", "engine", type=click.Choice(ENGINE_NAMES), callback=_timed,
    help="Whose milliseconds, and whose steps: an engine in which `secateur profile --widths` measured.  "
    "[default: eager torch's; the steps that were measured last]",
)  # fmt: skip
costs_option = click.option(
    "--costs", "costs_file", type=click.Path(path_type=Path),
    help="Milliseconds that were measured on a device of yours, CSV or JSON: target, width or sparsity, milliseconds, "
    "device, perhaps low and high; `secateur profile MODEL --export-costs FOLDER` writes such a table to fill in.",
)  # fmt: skip
steps_option = click.option(
    "--align", type=AlignType(),
    help=f"{ALIGN_HELP}; auto: the widths at which measured steps of the engine end.  "
    "[default: auto with --engine, else any width]",
)  # fmt: skip
left_option = click.option("--left", type=FractionType(), required=True, help=LEFT_HELP)
left_or_option = click.option("--left", type=FractionType(), help=LEFT_HELP)
batch_option = click.option(
    "--batch", type=int, default=1, show_default=True, help="Examples per forward pass, of which memory is counted."
)
cache_option = click.option(
    "--cache", type=int, metavar="N",
    help="Count with memory the keys and values that a causal language model keeps of N positions of each example.  "
    "[default: none]",
)  # fmt: skip
at_most_option = click.option(
    "--at-most", type=BytesType(), metavar="SIZE",
    help="Or, of bytes and memory, the most that may be left as a size: 24MB, 24MiB.",
)  # fmt: skip
cut_option = click.option(
    "--granularities",
    type=ListType(str, "weight,head"),
    metavar="G,G,…",
    help="What may be cut: weight, channel, head, kv_group, block.  [default: what the cost is made of]",
)
rules_option = click.option(
    "--rules", "rules_file", type=click.Path(path_type=Path),
    help='JSON list: [{"verb": "never", "row": "fc"}, {"verb": "bounds", "pattern": "stage1", "most": 0.5}]; '
    "verbs are lock, never, bounds, tied, even.",
)  # fmt: skip
even_option = click.option(
    "--even", is_flag=True,
    help="All layers of a kind lose the same number of channels, or of heads, so that a Hugging Face configuration can "
    "hold the plan: a rule, even, for every row.",
)  # fmt: skip


def _guards(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    guards: dict[str, float] = {}
    for text in given:
        column, _, points = text.rpartition("=")
        try:
            limit = float(points)
        except ValueError:
            limit = -1.0
        if not column or not 0 <= limit < inf:
            raise SecateurError(f"--guard expects COLUMN=POINTS, such as class=2, got {text!r}")
        if column in guards:
            raise SecateurError(f"--guard names the column {column!r} twice; give it one limit")
        guards[column] = limit
    return guards


guard_option = click.option(
    "--guard", "guards", multiple=True, metavar="COLUMN=POINTS", callback=_guards,
    help="Nor may any group of this column lose more than that, class=2 say; may be given several times.",
)  # fmt: skip
repaired_option = repair_option(
    "By what repaired cuts cost, as `sweep --repair` measured it; the plan carries the repair"
)
criterion_option = click.option("--criterion", help=f"{CRITERION_HELP}  [default: any that was swept]")


def costs_in(path: Path | None, engine: str | None, kind: str | None) -> list[dict[str, Any]]:
    """Rows of a table of costs; none where none is given."""
    from core.plans.costs.device_table import read_costs

    if path is None:
        return []
    if kind != "milliseconds":
        raise SecateurError(f"--costs {path} holds milliseconds; give --cost milliseconds with it")
    if engine is not None:
        raise SecateurError(f"--costs {path} and --engine {engine} both say whose milliseconds count; leave one out")
    return read_costs(path)


def tell_missing(rows: list[dict[str, Any]], found: "Description") -> None:
    """That some targets have no row in a table of costs, and its times no interval.

    Raises:
        SecateurError: the table cannot be right.
    """
    from core.plans.costs.device_table import costs_of, told_lines

    for line in told_lines(costs_of(rows, found)) if rows else ():
        click.echo(line, err=True)


def check_engine(engine: str | None, kind: str | None) -> None:
    """Refuse an engine where no milliseconds are asked for."""
    if engine is not None and kind != "milliseconds":
        raise SecateurError(f"--engine {engine} says whose milliseconds count; give --cost milliseconds with it")


def check_steps(align: Any, granularities: Any, kind: Any, predictor: "Predictor") -> None:
    """Refuse widths that channels may be left with, where the plan takes no channels out."""
    from core.tuning.goal import solved_granularities

    kinds = granularities or solved_granularities(kind, predictor)
    if align not in (None, 1) and "channel" not in kinds:
        what = " and ".join(kinds)
        refuse_idle(f"{what} alone is cut, and it is of channels; give --granularities channel, say", "align")


def print_lines(lines: list[str]) -> None:
    """Lines as they are: what stands in brackets is no markup."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line, highlight=False, markup=False)


def json_of(path: Path) -> Any:
    """What a file of rules holds."""
    try:
        return parse_json(read_text(path, "the rules"), "the file")
    except SecateurError as error:
        raise SecateurError(f"cannot read the rules {path}: {error}") from None


def known(store: "RunStore", model: str, repair: str | None = None) -> tuple["Description", "Predictor"]:
    """The model, and what predicts its plans with a repair, or with none.

    Raises:
        SecateurError: nothing was measured of it as it is now.
    """
    from core.jobs.known.findings import predictor_of
    from core.workload.loading import canonical_ref

    described = store.description(canonical_ref(model))
    predictor = predictor_of(store, described[0], repair=repair) if described is not None else None
    if described is None or predictor is None:
        which, how = (f" repaired by {repair}", f" --repair {repair}") if repair else ("", "")
        raise SecateurError(
            f"no cut of {model} was measured{which} in this workspace; `secateur sweep {model}{how}` first"
        )
    return described[0], predictor


def counted(
    store: "RunStore", model: str, found: "Description", kind: str, batch: int = 1, cache: int | None = None
) -> "Description":
    """The model with what a forward pass of it holds, where memory is asked for; counted now if nobody did before.

    Raises:
        SecateurError: a batch or cache is asked for with another cost, or makes no sense.
    """
    from core.plans.costs.memory import at

    if kind != "memory":
        if (batch, cache) != (1, None):
            raise SecateurError(f"--batch and --cache say of what memory is counted, not {kind}; add --cost memory")
        return found
    if found.memory is None:
        from core.profiling.held.counting import with_memory
        from core.workload.loading import load_workload

        click.echo(f"secateur: counting what a forward pass of {model} holds, once", err=True)
        found = with_memory(found, load_workload(found.ref))
        store.remember(found)
    return at(found, batch, cache)


def share_of(
    left: float | None, at_most: int | None, kind: Any, found: "Description", without: bool = False
) -> float | None:
    """What may be left, as a fraction of the dense model's, whether it was given so or in bytes.

    Args:
        left, at_most: of which one is given.
        kind: of cost.
        found: the model, as it is asked about.
        without: neither may be given.

    Raises:
        SecateurError: both or none, a size of what has none, or one that the dense model keeps to already.
    """
    from core import numbers
    from core.plans.costs.left import plan_cost
    from core.plans.plan import SparsityPlan

    if left is not None and at_most is not None:
        raise SecateurError("--left and --at-most both say how much may be left; give one of the two")
    if at_most is None:
        if left is None and not without:
            raise SecateurError("how much may be left? Give --left 0.5, or of bytes and memory --at-most 24MB")
        return left
    if kind not in ("bytes", "memory"):
        raise SecateurError(f"--at-most is a size, which {kind} have not; give --left, or --cost bytes or memory")
    dense = plan_cost(SparsityPlan(), found, kind).value
    if at_most >= dense:
        raise SecateurError(
            f"the dense model takes {numbers.bytes_text(round(dense))}, which is within {numbers.bytes_text(at_most)} "
            "already: nothing has to be cut; give a smaller --at-most"
        )
    return at_most / dense
