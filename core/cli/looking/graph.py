"""The command that draws the network, and writes it for other tools."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core import numbers
from core.cli.command import command, say
from core.cli.opening import open_store
from core.cli.options import print_json
from core.cli.tolerance import points_option
from core.cli.written import write_text
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.graph.network import Network
    from core.jobs.networks import KnownNetwork
    from core.jobs.runs import RunStore
    from core.sensitivity.report import SensitivityReport
    from core.workload.description import Description

FORMATS = ("svg", "json", "model-explorer")


@command(
    "secateur graph fashion-resnet --format svg --out resnet.svg",
    "secateur graph fashion-vit --plan plan.json --format svg --out cut.svg  # dense beside planned widths",
    "secateur graph fashion-vit --format model-explorer --out explorer  # a folder: the graph and values",
)
@click.argument("model")
@click.option("--plan", type=click.Path(path_type=Path), metavar="FILE", help="Draw what this plan cuts.")
@click.option(
    "--sweep",
    "run",
    metavar="RUN",
    help="Only what this sweep measured.  [default: all sweeps of the model as it is now]",
)
@points_option("--within", "The drop that is accepted, for the colours: {unit}.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="svg",
    show_default=True,
    help="svg: a picture. json: plain values. model-explorer: a folder of files that Google's Model Explorer opens.",
)
@click.option(
    "--most",
    type=click.IntRange(2),
    default=60,
    show_default=True,
    help="Of svg: boxes at most; stages and blocks are folded to it, as far as that goes.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file, over what is there; of model-explorer the folder.  [default: svg and json are printed]",
)
def graph(
    model: str,
    plan: Path | None,
    run: str | None,
    within: float | None,
    format_: str,
    most: int,
    out: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Draw the network of MODEL: layers with their share, what cuts cost there, what a plan cuts, milliseconds.

    The graph is that of torch.export; of a model that it cannot export the tree of modules is drawn, with the reason.
    """
    from core.jobs.networks import known_network
    from core.plans.foreign import check_plan
    from core.plans.plan import SparsityPlan

    if format_ == "model-explorer" and out is None:
        raise SecateurError("model-explorer is several files; name a folder for them: --out explorer")
    chosen = SparsityPlan.read(plan) if plan is not None else SparsityPlan()
    store = open_store(workspace)
    report = _sweep(store, run) if run is not None else None
    found, network = _read(store, model)
    check_plan(chosen, found)
    if report is not None and report.workload != found.ref:
        raise SecateurError(
            f"run {report.run} is a sweep of {report.workload}, not of {found.ref}; name one of this model"
        )
    if network.reason is not None:
        say(f"the modules without edges, for the model cannot be exported: {network.reason}")
    tolerance = None if within is None else within / found.scale.factor
    known = known_network(store, found, network, chosen, tolerance, report)
    if as_json and out is None:  # whatever the format: one document and nothing else
        print_json(known.document(found))
        return
    written = _written(known, found, format_, most, out)
    if as_json:
        print_json({"written": [str(path.resolve()) for path in written]})
    elif out is not None:
        places = network.places
        n_found = sum(place.operation is not None for place in places)
        click.echo(
            f"Wrote {out}: {len(network.operations):,} operations, {n_found:,} of {len(places):,} targets in them."
        )


def _read(store: "RunStore", model: str) -> "tuple[Description, Network]":
    """The model as it is now and its network; drawn if it was not yet, and kept."""
    from core.graph.traced import network_of
    from core.jobs import networks
    from core.profiling.target_flops import flops_by_target
    from core.pruning.structure import everything
    from core.workload.description import describe
    from core.workload.loading import canonical_ref, load_workload

    ref = canonical_ref(model)
    workload = load_workload(ref)
    known = store.description(ref)
    found = describe(ref, workload, everything, known[0] if known else None, flops_by_target)
    store.remember(found)
    network = networks.network_of(store, found)
    if network is None:
        begun = time.time()
        network = network_of(workload.model, tuple(workload.evaluation.inputs), found.targets)
        result = {"model": found.fingerprint, "network": network.to_json()}
        store.note_finished("graph", ref, {}, result, begun)
    return found, network


def _sweep(store: "RunStore", run: str) -> "SensitivityReport":
    named = store.get(run)
    report = store.report(named) if named.kind == "sweep" else None
    if report is None or report.dense is None:
        raise SecateurError(
            f"run {named.id} is no sweep that has measured anything; `secateur runs --kind sweep` lists them"
        )
    return report


def _written(
    known: "KnownNetwork", found: "Description", format_: str, most: int, out: Path | None
) -> tuple[Path, ...]:
    """The files that were written; without `out` the one that there is is printed."""
    if format_ == "model-explorer":
        assert out is not None, "refused before"
        return _for_model_explorer(known, found, out)
    text = (
        _picture(known, found, most)
        if format_ == "svg"
        else json.dumps(known.document(found), indent=2, ensure_ascii=False) + "\n"
    )
    if out is None:
        click.echo(text, nl=False)
        return ()
    write_text(out, text)
    return (out,)


def _picture(known: "KnownNetwork", found: "Description", most: int) -> str:
    from core.graph.drawn import drawing_of
    from core.graph.shown import first_granularity, shown
    from core.graph.svg import picture
    from core.plans import cut_words

    drawing = drawing_of(known.network)
    granularity = first_granularity(known.facts)
    values = shown(drawing, known.facts, granularity, found.scale, known.tolerance, bool(known.plan.cuts))
    notes = []
    if known.tolerance is not None:
        limit = numbers.limit_text(found.scale, known.tolerance)
        notes.append(f"coloured by {cut_words.granularity_text(granularity)}: what may go of each alone within {limit}")
    else:
        notes.append("nothing was measured yet")
    if known.timed is not None:
        threads = numbers.threads_text(known.timed["threads"])
        notes.append(f"milliseconds: dense, batch {known.timed['batch']}, {threads}, {known.timed['cpu']}")
    return picture(drawing, values, found.name, tuple(notes), most)


def _for_model_explorer(known: "KnownNetwork", found: "Description", folder: Path) -> tuple[Path, ...]:
    from core.graph.model_explorer import graph_file, node_values

    timed = known.timed
    where = f", batch {timed['batch']}, {numbers.threads_text(timed['threads'])}" if timed is not None else ""
    files: dict[str, Any] = {"graph.json": graph_file(known.network, found.name, known.facts)}
    for one in node_values(known.facts, found.scale, known.tolerance, bool(known.plan.cuts), where):
        files[f"{one.file}.json"] = one.document()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SecateurError(f"cannot make the folder {folder}: {error.strerror}; choose another --out") from None
    for name, document in files.items():
        write_text(folder / name, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return tuple(folder / name for name in files)
