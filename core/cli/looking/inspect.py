"""Commands that look and do no long work."""

import re
from pathlib import Path

import click
from click.core import ParameterSource

from core.cli.options import FractionType, json_option, print_json, workspace_option
from core.errors import SecateurError
from core.workload.loading import TEMPLATE


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="Of the smaller model in this shrunk bundle.")
@click.option("--model", help="With --bundle: what it was cut from.  [default: the sample that it names]")
@json_option
def init(file: Path, bundle: Path | None, model: str | None, as_json: bool) -> None:
    """Write a commented workload file that runs as it is; or one of a model that was made smaller."""
    if file.suffix != ".py":
        raise SecateurError(f"a workload file ends in .py, got {file}; try `secateur init {file}.py`")
    if file.exists():
        raise SecateurError(f"{file} exists already; choose another name")
    if model is not None and bundle is None:
        raise SecateurError("--model says what a bundle was cut from; name the bundle, too: --bundle FOLDER")
    text = TEMPLATE.read_text(encoding="utf-8") if bundle is None else _of_bundle(bundle, model)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SecateurError(f"cannot write {file}: {error.strerror}; choose another folder") from None
    if as_json:
        print_json({"file": str(file.resolve())})
    else:
        follows = f"sweep {file}" if bundle is None else f"recover {file} --final 0"
        click.echo(f"Wrote {file}. It runs as it is: secateur {follows}")


def _of_bundle(bundle: Path, model: str | None) -> str:
    from core.delivery.bundles.shrunk_bundle import workload_file

    return workload_file(bundle, model)


@click.command()
@workspace_option
@json_option
def models(workspace: Path, as_json: bool) -> None:
    """List the samples, and the workload files this workspace has seen."""
    from core.jobs.runs import RunStore
    from core.workload.loading import sample_names
    from core.workspace import Workspace

    known = RunStore(Workspace(workspace)).descriptions() if workspace.exists() else {}
    refs = [*sample_names(), *(ref for ref in known if ref not in sample_names())]
    if as_json:
        print_json([{"model": ref, "description": known[ref].to_json() if ref in known else None} for ref in refs])
        return
    from core.cli.tables.runs import models_table

    models_table(refs, known)


@click.command()
@click.argument("model")
@workspace_option
@json_option
def targets(model: str, workspace: Path, as_json: bool) -> None:
    """List what of MODEL can be cut, and what cannot with the reason."""
    from core.jobs.runs import RunStore
    from core.profiling.target_flops import flops_by_target
    from core.pruning.structure import everything
    from core.workload.description import describe
    from core.workload.loading import canonical_ref, load_workload
    from core.workspace import Workspace

    runs = RunStore(Workspace(workspace))
    ref = canonical_ref(model)
    description = describe(ref, load_workload(ref), everything, None, flops_by_target)
    runs.remember(description)
    if as_json:
        print_json(description.to_json())
        return
    from core.cli.tables.runs import targets_table

    targets_table(description)


@click.command()
@workspace_option
@json_option
def runs(workspace: Path, as_json: bool) -> None:
    """List the runs of the workspace, newest first."""
    from core.jobs.runs import RunStore
    from core.workspace import Workspace

    found = [run for run in RunStore(Workspace(workspace, create=False)).list() if run.kind != "describe"]
    if as_json:
        print_json([run.to_json() for run in found])
        return
    from core.cli.tables.runs import runs_table

    runs_table(found)


@click.command()
@click.argument("run")
@click.option("--by", metavar="COLUMN", help="Of a sweep: the drop on each value of a column, e.g. class.")
@click.option("--target", help="With --by: only the cuts of this target.")
@click.option("--sparsity", type=FractionType(), help="With --by: only the cuts of this sparsity.")
@click.option("--compare", is_flag=True, help="Of a sweep by several criteria: how far each reaches, target by target.")
@click.option(
    "--tolerance",
    type=float,
    help="With --compare: the drop accepted: points of a fraction (1 is one point), else the metric's unit.",
)
@workspace_option
@json_option
def show(
    run: str,
    by: str | None,
    target: str | None,
    sparsity: float | None,
    compare: bool,
    tolerance: float | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Show what RUN found (its id, or the beginning of it)."""
    if compare:
        from core.cli.looking.criteria import show_comparison

        show_comparison(workspace, run, tolerance, as_json)
        return
    if tolerance is not None:
        raise SecateurError("--tolerance is for comparing criteria; add --compare")
    if by is not None:
        from core.cli.looking.slices import show_slices

        show_slices(workspace, run, by, target, sparsity, as_json)
        return
    if target is not None or sparsity is not None:
        raise SecateurError("--target and --sparsity choose the cuts to show by a column; add --by, e.g. --by class")
    from core.cli.tables.runs import run_document, run_result
    from core.jobs.runs import RunStore
    from core.workspace import Workspace

    store = RunStore(Workspace(workspace, create=False))
    found = store.get(run)
    if as_json:
        print_json(run_document(store, found))
    else:
        run_result(store, found)


@click.command()
@click.argument("model")
@click.option(
    "--uniform",
    type=FractionType(),
    metavar="SPARSITY",
    help="Fraction of every layer's weights to remove, in [0, 1).",
)
@click.option(
    "--channels", type=FractionType(), metavar="SPARSITY", help="Fraction of every coupled group's channels to remove."
)
@click.option("--heads", type=FractionType(), metavar="SPARSITY", help="Fraction of every attention's heads to remove.")
@click.option(
    "--pattern",
    metavar="P",
    help="How weights go: 2:4 keeps 2 of every 4, and says how much goes; 4x4 removes that fraction of whole tiles.",
)
@click.option("--align", type=int, default=1, show_default=True, help="Channels that stay are a multiple of this.")
@click.option("--layers", default="", metavar="REGEX", help="Only targets whose name matches.")
@click.option("--criterion", default="magnitude", show_default=True, help="How weights and channels are chosen.")
@click.option("--from", "kept", metavar="ID", help="Print a kept plan instead, by its id or name (`secateur plans`).")
@workspace_option
@click.option("--json", "as_json", is_flag=True, help="A plan is JSON with or without it.")
@click.pass_context
def plan(
    ctx: click.Context,
    model: str,
    uniform: float | None,
    channels: float | None,
    heads: float | None,
    pattern: str | None,
    align: int,
    layers: str,
    criterion: str,
    kept: str | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Print a sparsity plan for MODEL: redirect it to a file, edit it, `secateur apply` or `secateur shrink` by it."""
    from core.plans.checked import checked_align, checked_pattern, checked_sparsity
    from core.plans.criteria import checked_criterion
    from core.plans.criteria import why_not as no_meaning
    from core.plans.patterns import parse_pattern
    from core.plans.plan import Cut
    from core.plans.units import why_not

    if kept is not None:
        made = ("uniform", "channels", "heads", "pattern", "align", "layers", "criterion")
        given = [f"--{name}" for name in made if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            raise SecateurError(f"--from prints a kept plan as it is; leave out {', '.join(given)}")
        from core.cli.looking.plans import open_book

        ref, book = open_book(workspace, model)
        click.echo(book.get(ref, kept).plan.to_json(), nl=False)
        return
    for fraction in (uniform, channels, heads):
        checked_sparsity(fraction or 0.0)
    if pattern is not None:
        if parse_pattern(pattern).is_tiles and uniform is None:
            raise SecateurError("how much goes? Give --uniform 0.5, say, or a pattern that tells it, --pattern 2:4")
        Cut("every layer", pattern, uniform)  # an N:M has a sparsity of its own
    elif uniform is None and channels is None and heads is None:
        raise SecateurError("say what to cut: --uniform 0.5 (weights), --pattern 2:4, --channels 0.5 or --heads 0.5")
    from core.pruning.criteria.calibration import Calibration
    from core.pruning.structure import find_structure
    from core.pruning.uniform import uniform_plan
    from core.workload.loading import canonical_ref, load_workload

    checked_criterion(criterion)
    checked_align(align)
    checked_pattern(layers)
    ref = canonical_ref(model)
    workload = load_workload(ref)
    structure = find_structure(workload.model, tuple(workload.evaluation.inputs))
    matching = [target for target in structure.targets if re.search(layers, target.name)]
    reasons = [parse_pattern(pattern).why_not(t) for t in matching if t.granularity == "weight"] if pattern else []
    reasons += [why_not(t, channels, align) for t in matching if t.granularity == "channel"] if channels else []
    asked = {"weight": bool(uniform) or pattern is not None, "channel": bool(channels)}
    reasons += [
        no_meaning(criterion, t, pattern if t.granularity == "weight" else None)
        for t in matching
        if asked.get(t.granularity)
    ]
    found = uniform_plan(
        workload.model, structure, weights=uniform, channels=channels or 0.0, heads=heads or 0.0, pattern=pattern,
        criterion=criterion, align=align, layers=layers, workload=ref, calibration=Calibration.of(workload),
    )  # fmt: skip
    for reason in dict.fromkeys(filter(None, reasons)):
        click.echo(f"left out: {reason}", err=True)
    click.echo(found.to_json(), nl=False)
