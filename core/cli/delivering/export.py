"""The commands that write a bundle: of the model with zeros, or of the smaller one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.command import command
from core.cli.following import follow
from core.cli.opening import check_own, open_store
from core.cli.options import (
    F,
    ListType,
    check_pythons,
    detach_option,
    device_option,
    form_option,
    pythons_option,
    refuse_idle,
    samples_option,
)
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.plans.plan import Form


def _formats_options(function: F) -> F:
    """`--format F,F,…`, `--opset N`, `--skip-refused`, `--dynamic`, `--python`."""
    from core.delivery.formats.facts import FORMATS

    known = "; ".join(f"{name}: {facts.holds}" for name, facts in FORMATS.items())
    formats = click.option(
        "--format",
        "formats",
        multiple=True,
        type=ListType(str, "pt2,onnx"),
        metavar="F,F,…",
        help=f"What else the bundle holds, each read by a fresh process and compared. {known}. "
        "safetensors is always written.  [default: of a shrunk model onnx, where it can hold it]",
    )
    opset = click.option("--opset", type=int, help="Of ONNX.  [default: the exporter's own choice]")
    skip = click.option(
        "--skip-refused", is_flag=True, help="Leave out a format that cannot hold the model, and say why; do not stop."
    )
    dynamic = click.option(
        "--dynamic",
        type=click.Choice(["tried", "batch"]),
        default="tried",
        show_default=True,
        help="Which sizes of inputs a program (pt2, onnx) leaves free. tried: the batch, and every dimension that "
        "model and file take in another size, such as a length; batch: the batch alone.",
    )
    return formats(opset(skip(dynamic(pythons_option(function)))))


@command(
    "secateur export fashion-vit plan.json out/vit50  # a bundle, reloaded and compared",
    "secateur export fashion-vit half.json out/all --form shrunk --format pt2,onnx --opset 20",
    "secateur export fashion-vit half.json out/four --form shrunk --format int8,onnx-int8  # quantized beside",
    "secateur export fashion-resnet half.json out/phone --form shrunk --format litert,executorch  # for phones",
    "secateur export recovered.py out/small  # a recovered model keeps the zeros that it has",
)
@click.argument("model")
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="[PLAN] OUT")
@form_option("masked: zeros in place. shrunk: channels, heads and blocks are gone, as `secateur shrink`.")
@_formats_options
@samples_option("all", "to measure on")
@device_option
@detach_option
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


@command("secateur shrink fashion-vit half.json out/small  # channels and heads are gone: safetensors and ONNX")
@click.argument("model")
@click.argument("plan", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_formats_options
@samples_option("all", "to compare and to measure on")
@device_option
@detach_option
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
    formats: tuple[tuple[str, ...], ...],
    opset: int | None,
    skip_refused: bool,
    dynamic: str,
    pythons: tuple[tuple[str, str], ...],
    samples: Any,
    device: str,
    detach: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    from core.delivery.formats.facts import FORMATS, WANTED, check_there, checked_formats
    from core.jobs.launch import start_export
    from core.plans.plan import SparsityPlan

    chosen = SparsityPlan.read(plan) if plan else SparsityPlan()
    if out.exists():
        raise SecateurError(f"{out} exists already; choose another place, or remove it first")
    names = [name for several in formats for name in several] or None
    wanted = checked_formats(names or WANTED[form], opset)
    check_there(wanted, dict(pythons), skip_refused)
    check_pythons(pythons, wanted, "--format")
    if dynamic != "tried" and not any(FORMATS[name].sized for name in wanted):
        able = " or ".join(name for name, facts in FORMATS.items() if facts.sized)
        refuse_idle(
            f"no program is written whose inputs have sizes; ask for --format {able}, or leave it out", "dynamic"
        )
    store = open_store(workspace)
    check_own(store, model, chosen)
    only = dynamic == "batch"
    run = start_export(
        store, model, chosen, out, samples, device, form, "file", names, opset, skip_refused, only, pythons
    )
    follow(store, *run, detach, as_json)
