"""Commands that start, follow and stop long work."""

import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.options import F, device_option, form_option, json_option, print_json, samples_option, workspace_option
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.jobs.run import Run
    from core.jobs.runs import RunStore
    from core.plans.plan import Form

POLL_SECONDS = 0.2


def _words(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


def _sparsities(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        found = tuple(float(word) for word in value.replace(",", " ").split())
    except ValueError:
        found = ()
    if not found:
        raise click.BadParameter(f"expected fractions such as 0.5,0.9, got {value!r}")
    return found


@click.command()
@click.argument("model")
@click.option(
    "--sparsities",
    callback=_sparsities,
    metavar="S,S,…",
    help="Fractions to remove, in [0, 1). Default: 0.1 … 0.9, 0.95.",
)
@click.option(
    "--layers",
    default="",
    metavar="REGEX",
    help="Only targets whose name matches; a head is ATTENTION:NUMBER, so : alone takes the heads.",
)
@click.option(
    "--heads/--no-heads", default=True, show_default=True, help="Also remove every attention head, one at a time."
)
@click.option("--weights/--no-weights", default=True, show_default=True, help="Remove single weights of every layer.")
@click.option(
    "--channels/--no-channels",
    default=False,
    show_default=True,
    help="Also remove channels and neurons, in all layers that they couple.",
)
@click.option(
    "--align", type=int, default=1, show_default=True, help="The channels that stay are a multiple of this, e.g. 8."
)
@click.option("--blocks/--no-blocks", default=False, show_default=True, help="Also skip every block, one at a time.")
@samples_option(None, "Evaluation examples to use; by default what the workload says.")
@click.option(
    "--criteria",
    "--criterion",
    default="magnitude",
    show_default=True,
    callback=_words,
    metavar="C,C,…",
    help="How weights and channels are chosen; several to compare them. `secateur criteria` lists them.",
)
@device_option
@click.option(
    "--preview/--no-preview", default=True, show_default=True, help="First estimate every cell from gradients."
)
@click.option(
    "--mode",
    type=click.Choice(["exact", "race", "tolerance"]),
    default="exact",
    show_default=True,
    help="exact: every cell on all examples. race: every cell until it is decided. "
    "tolerance: only what it takes to find the largest sparsity within the tolerance.",
)
@click.option(
    "--tolerance",
    type=float,
    help="Drop that is accepted, in the metric's unit (0.01 of a fraction is one point). "
    "Default: one point of a fraction, else a twentieth of the metric.",
)
@click.option(
    "--width", type=float, help="race: stop a cell whose interval is as narrow as this, in the metric's unit."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order in which examples are drawn.")
@click.option("--dry-run", is_flag=True, help="Try every target once on a few examples and tell what it would cost.")
@click.option(
    "--replay/--no-replay",
    default=None,
    help="Compute of a cut only what it changes; same bits. Default: where it saves time.",
)
@click.option("--threads", type=int, help="Cells measured at a time; by default one per core.")
@click.option(
    "--memory", type=float, metavar="GB", help="Dense values kept at most; by default a quarter of what is free."
)
@click.option(
    "--patterns",
    default="",
    callback=_words,
    metavar="P,P,…",
    help="Also cut every layer in these: 2:4 keeps 2 of every 4 weights, 4x4 removes whole tiles at every sparsity.",
)
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def sweep(
    model: str,
    sparsities: tuple[float, ...] | None,
    layers: str,
    heads: bool,
    samples: object,
    criteria: tuple[str, ...],
    device: str,
    preview: bool,
    blocks: bool,
    weights: bool,
    channels: bool,
    align: int,
    mode: str,
    tolerance: float | None,
    width: float | None,
    seed: int,
    dry_run: bool,
    replay: bool | None,
    threads: int | None,
    memory: float | None,
    patterns: tuple[str, ...],
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Measure what every cut of MODEL costs: layers × sparsities, and every attention head."""
    from core.jobs.launch import start_sweep
    from core.sensitivity.request import DEFAULT_SPARSITIES, SweepRequest

    chosen = DEFAULT_SPARSITIES if sparsities is None else sparsities
    request = SweepRequest(
        model, chosen, layers, heads, samples, criteria, seed, device,  # type: ignore[arg-type]
        mode, tolerance, width, replay, threads, memory, dry_run, blocks, preview,  # type: ignore[arg-type]
        channels, align, weights, patterns,
    )  # fmt: skip
    store = open_store(workspace)
    follow(store, *start_sweep(store, request), detach, as_json)


@click.command()
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@samples_option("all", "Evaluation examples to use.  [default: all]")
@form_option("masked: zeros in place. shrunk: also make the smaller model, compare the two, and measure it.")
@device_option
@workspace_option
@json_option
def apply(model: str, plan: Path, samples: object, form: str, device: str, workspace: Path, as_json: bool) -> None:
    """Measure what the plan in the file PLAN costs MODEL, and keep it (`secateur plans`)."""
    from core.jobs.launch import start_measure
    from core.plans.foreign import check_plan
    from core.plans.plan import SparsityPlan
    from core.workload.loading import canonical_ref

    chosen = SparsityPlan.read(plan)
    store = open_store(workspace)
    described = store.description(canonical_ref(model))
    if described is not None:
        check_plan(chosen, described[0])
    run = start_measure(store, model, chosen, samples, device, form, made_by="file")  # type: ignore[arg-type]
    follow(store, *run, False, as_json)


def _formats_options(function: F) -> F:
    """`--format F,F,…`, `--opset N`, `--skip-refused`."""
    from core.delivery.formats.facts import FORMATS

    known = "; ".join(f"{name}: {facts.holds}" for name, facts in FORMATS.items())
    formats = click.option(
        "--format",
        "formats",
        multiple=True,
        metavar="F,F,…",
        help=f"What else the bundle holds, each read by a fresh process and compared. {known}. "
        "safetensors is always written. Default: of a shrunk model onnx, where it can hold it.",
    )
    opset = click.option("--opset", type=int, help="Of ONNX. Default: the exporter's own choice.")
    skip = click.option(
        "--skip-refused", is_flag=True, help="Leave out a format that cannot hold the model, and say why; do not stop."
    )
    return formats(opset(skip(function)))


@click.command()
@click.argument("model")
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="[PLAN] OUT")
@form_option("masked: zeros in place. shrunk: channels, heads and blocks are gone, as `secateur shrink`.")
@_formats_options
@samples_option("all", "Evaluation examples to measure on.  [default: all]")
@device_option
@workspace_option
@json_option
def export(form: "Form", places: tuple[Path, ...], **options: Any) -> None:
    """Cut MODEL by the file PLAN and write the bundle OUT (and OUT.zip), reloaded and compared before it is told of.

    Without PLAN the model stays as it is: a recovered one keeps the zeros that it has.
    """
    *plan, out = places
    if len(plan) > 1:
        raise SecateurError(f"expected MODEL [PLAN] OUT, got {len(places)} paths after MODEL; quote names with spaces")
    if not plan and out.is_file():
        raise SecateurError(f"where to? secateur export {options['model']} {out} OUT, with OUT a folder to be made")
    _export(form, plan=plan[0] if plan else None, out=out, **options)


@click.command()
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_formats_options
@samples_option("all", "Evaluation examples to compare and to measure on.  [default: all]")
@device_option
@workspace_option
@json_option
def shrink(**options: Any) -> None:
    """Remove for good what the file PLAN cuts from MODEL, and write the smaller model as the bundle OUT (and OUT.zip).

    Channels, heads and blocks are gone; the result is compared with the masked model on every example before it is
    written, as safetensors and as ONNX, and reloaded after. The same as `secateur export --form shrunk`.
    """
    _export("shrunk", **options)


def _export(
    form: "Form",
    model: str,
    plan: Path | None,
    out: Path,
    formats: tuple[str, ...],
    opset: int | None,
    skip_refused: bool,
    samples: Any,
    device: str,
    workspace: Path,
    as_json: bool,
) -> None:
    from core.delivery.formats.facts import WANTED, checked_formats
    from core.jobs.launch import start_export
    from core.plans.plan import SparsityPlan

    chosen = SparsityPlan.read(plan) if plan else SparsityPlan()
    if out.exists():
        raise SecateurError(f"{out} exists already; choose another place, or remove it first")
    names = [name for text in formats for name in text.replace(",", " ").split()] or None
    checked_formats(names or WANTED[form], opset)
    store = open_store(workspace)
    run = start_export(store, model, chosen, out, samples, device, form, "file", names, opset, skip_refused)
    follow(store, *run, False, as_json)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--model", help="Workload to measure with, if the one in the manifest is elsewhere on this machine.")
@click.option(
    "--run/--no-run",
    "formats",
    default=True,
    show_default=True,
    help="Also let a fresh process read and run each format, and compare.",
)
@json_option
def verify(bundle: Path, model: str | None, formats: bool, as_json: bool) -> None:
    """Check BUNDLE, a folder or its zip: every hash, every tensor, every format, and the metric measured again."""
    from core.delivery.bundle_words import formats_checked_text
    from core.delivery.bundles.verify import verify_bundle
    from core.delivery.manifest import read_manifest

    if bundle.suffix != ".zip":
        read_manifest(bundle)
    with redirect_stdout(sys.stderr):  # a model may print in its forward pass
        checked = verify_bundle(bundle, model, formats)
    if as_json:
        print_json(checked)
        return
    click.echo(
        f"{bundle} is what was exported: {checked['tensors']} tensors and every hash match, "
        f"and it measures {checked['metric']:.6g} on {checked['n']:,} examples, as its manifest says."
    )
    if checked["formats"] is not None:
        click.echo(f"Read by a fresh process each: {formats_checked_text(checked['formats'])}.")


@click.command()
@click.argument("run")
@workspace_option
@json_option
def cancel(run: str, workspace: Path, as_json: bool) -> None:
    """Stop RUN before its next forward pass; what it measured is kept."""
    store = open_store(workspace, create=False)
    store.ask_to_stop(run)
    found = store.get(run)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(f"Run {found.id} is {'stopping' if found.active else found.state}.")


@click.command()
@click.argument("run")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@workspace_option
@json_option
def resume(run: str, detach: bool, workspace: Path, as_json: bool) -> None:
    """Let an interrupted, cancelled or failed RUN go on from what is on disk."""
    from core.jobs.launch import resume as resume_run

    store = open_store(workspace, create=False)
    follow(store, resume_run(store, run), True, detach, as_json)


def open_store(workspace: Path, create: bool = True) -> "RunStore":
    """The runs of a workspace."""
    from core.jobs.runs import RunStore
    from core.workspace import Workspace

    return RunStore(Workspace(workspace, create))


def follow(store: "RunStore", run: "Run", is_ours: bool, detach: bool, as_json: bool) -> None:
    """Show a run's progress until it ends, then its result.

    Ctrl-C stops a run that this command started, which keeps what it measured; one that was under way before goes on.
    """
    from core.cli import Failure
    from core.cli.tables.runs import run_document, run_result

    if not detach:
        try:
            run = _wait(store, run)
        except KeyboardInterrupt:
            if not is_ours:
                raise Failure(
                    f"run {run.id} was started elsewhere and goes on; `secateur cancel {run.id}` stops it"
                ) from None
            store.ask_to_stop(run.id)
            run = _wait(store, run)
    if run.state in ("failed", "interrupted"):
        raise SecateurError(
            run.error or f"the worker of run {run.id} died; `secateur resume {run.id}` goes on from what is on disk"
        )
    if as_json:
        print_json(run_document(store, run))
    elif detach:
        click.echo(f"Run {run.id} is under way: `secateur show {run.id}`, `secateur cancel {run.id}`.")
    else:
        run_result(store, run)
    if run.state == "cancelled":  # not a SecateurError: with --json that would print a second document
        raise Failure(f"run {run.id} was cancelled; `secateur resume {run.id}` goes on from what is on disk")


def _wait(store: "RunStore", run: "Run") -> "Run":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from core.numbers import seconds_text

    # on standard error: standard output is for the answer
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"run {run.id}", total=None, left="")
        while run.active:
            time.sleep(POLL_SECONDS)
            run = store.get(run.id)
            left = run.seconds_left()
            progress.update(
                bar,
                description=f"run {run.id}  {run.phase or 'starting'}",
                completed=run.done,
                total=run.total,
                left=f"{seconds_text(left)} left" if left is not None else "",
            )
    return run
