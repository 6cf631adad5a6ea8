"""Commands that look and do no long work."""

from pathlib import Path

import click

from core.cli.command import command
from core.cli.model_options import from_options, with_from
from core.cli.opening import open_store
from core.cli.options import FractionType, print_json, refuse_idle
from core.cli.tolerance import within_option
from core.cli.written import write_text
from core.errors import SecateurError
from core.workload.loading import TEMPLATE
from core.workload.sources.written import written


@command(
    "secateur init my_workload.py  # a commented file that runs as it is",
    "secateur init small.py --bundle out/small  # the smaller model of a bundle, to be recovered, say",
    "secateur init mine.py --from hf:./folder --data test.csv  # what is inferred of a folder, to be edited",
    keeps=False,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--bundle", type=click.Path(path_type=Path), help="Of the smaller model in this shrunk bundle.")
@click.option("--model", help="With --bundle: what it was cut from.  [default: the sample that it names]")
@click.option("--from", "reference", metavar="MODEL", help="Of this model: a reference, as hf:./folder.")
@from_options
def init(
    file: Path, bundle: Path | None, model: str | None, reference: str | None, as_json: bool, **given: str | None
) -> None:
    """Write a commented workload file that runs as it is; or one of a model that lies elsewhere or was made smaller."""
    if file.suffix != ".py":
        raise SecateurError(f"a workload file ends in .py, got {file}; try `secateur init {file}.py`")
    if file.exists():
        raise SecateurError(f"{file} exists already; choose another name")
    if model is not None and bundle is None:
        raise SecateurError("--model says what a bundle was cut from; name the bundle, too: --bundle FOLDER")
    if bundle is not None and reference is not None:
        raise SecateurError("--bundle and --from name two models; leave one of them out")
    if bundle is not None:
        text = _of_bundle(bundle, model)
    elif (whole := with_from(reference, given)) is not None:
        text = written(whole)
    else:
        text = TEMPLATE.read_text(encoding="utf-8")
    write_text(file, text, "choose another folder")
    if as_json:
        print_json({"file": str(file.resolve())})
    else:
        follows = f"sweep {file}" if bundle is None else f"recover {file} --final 0"
        click.echo(f"Wrote {file}. It runs as it is: secateur {follows}")


def _of_bundle(bundle: Path, model: str | None) -> str:
    from core.delivery.bundles.shrunk_bundle import workload_file

    return workload_file(bundle, model)


@command("secateur models")
def models(workspace: Path, as_json: bool) -> None:
    """List the samples, and the workload files this workspace has seen."""
    from core.workload.loading import sample_names

    known = open_store(workspace).descriptions() if workspace.exists() else {}
    refs = [*sample_names(), *(ref for ref in known if ref not in sample_names())]
    if as_json:
        print_json([{"model": ref, "description": known[ref].to_json() if ref in known else None} for ref in refs])
        return
    from core.cli.tables.models import models_table

    models_table(refs, known)


@command("secateur targets fashion-vit")
@click.argument("model")
def targets(model: str, workspace: Path, as_json: bool) -> None:
    """List what of MODEL can be cut, and what cannot with the reason."""
    from core.profiling.target_flops import flops_by_target
    from core.pruning.structure import everything
    from core.workload.description import describe
    from core.workload.loading import canonical_ref, load_workload

    runs = open_store(workspace)
    ref = canonical_ref(model)
    description = describe(ref, load_workload(ref), everything, None, flops_by_target)
    runs.remember(description)
    kept = runs.description(ref)
    description = kept[0] if kept else description  # with what was counted of its memory before
    if as_json:
        print_json(description.to_json())
        return
    from core.cli.tables.models import targets_table

    targets_table(description)


@command(
    "secateur show 3f2a",
    "secateur show 3f2a --by class --sparsity 0.9  # who suffers: every cut's drop, class by class",
    "secateur show 3f2a --compare --within 1  # which criterion suits which layer",
)
@click.argument("run")
@click.option("--by", metavar="COLUMN", help="Of a sweep: the drop on each value of a column, e.g. class.")
@click.option("--target", help="With --by: only the cuts of this target.")
@click.option("--sparsity", type=FractionType(), help="With --by: only the cuts of this sparsity.")
@click.option("--compare", is_flag=True, help="Of a sweep by several criteria: how far each reaches, target by target.")
@within_option("With --compare: the drop that is accepted")
def show(
    run: str,
    by: str | None,
    target: str | None,
    sparsity: float | None,
    compare: bool,
    within: float | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Show what RUN found (its id, or the beginning of it)."""
    if compare:
        refuse_idle("--compare tells of every target as a whole; leave one of them out", "by", "target", "sparsity")
        from core.cli.looking.criteria import show_comparison

        show_comparison(workspace, run, within, as_json)
        return
    if within is not None:
        raise SecateurError("--within is for comparing criteria; add --compare")
    if by is not None:
        from core.cli.looking.slices import show_slices

        show_slices(workspace, run, by, target, sparsity, as_json)
        return
    if target is not None or sparsity is not None:
        raise SecateurError("--target and --sparsity choose the cuts to show by a column; add --by, e.g. --by class")
    from core.cli.tables.runs import run_document, run_result

    store = open_store(workspace, create=False)
    found = store.get(run)
    if as_json:
        print_json(run_document(store, found))
    else:
        run_result(store, found)
