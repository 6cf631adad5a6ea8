"""The command that makes a plan of one sparsity everywhere, or prints one that was kept."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from core.cli.command import command
from core.cli.opening import open_book, open_store
from core.cli.options import (
    ALIGN_HELP,
    AlignType,
    FractionType,
    criterion_option,
    layers_option,
    refuse_idle,
    repair_option,
    typed,
)
from core.cli.tuning.goals import engine_option
from core.cli.tuning.writing import hand_over, out_option
from core.errors import SecateurError

if TYPE_CHECKING:
    from core.plans.costs.steps import Ends


@command(
    "secateur plan fashion-vit --uniform 0.5 --out plan.json",
    "secateur plan fashion-vit --channels 0.5 --heads 0.5 --out half.json",
    "secateur plan fashion-vit --pattern 2:4 --out 2of4.json",
    "secateur plan fashion-vit --channels 0.5 --repair least-squares --out repaired.json",
    "secateur plan fashion-vit --from 3f2a91bc --out kept.json  # one that the workspace keeps",
)
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
@click.option(
    "--align", type=AlignType(),
    help=f"{ALIGN_HELP}; auto: more, up to where a measured step ends.  [default: auto if steps are known, else 1]",
)  # fmt: skip
@engine_option
@layers_option(heads=False)
@criterion_option
@repair_option("Let what stays make up for what goes")
@click.option("--from", "kept", metavar="ID", help="Take a kept plan as it is, by its id or name (`secateur plans`).")
@out_option
def plan(
    model: str,
    uniform: float | None,
    channels: float | None,
    heads: float | None,
    pattern: str | None,
    align: Any,
    engine: str | None,
    layers: str,
    criterion: str,
    repair: str | None,
    kept: str | None,
    out: Path | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Make a sparsity plan for MODEL: write it to a file, edit it, `secateur apply` or `secateur shrink` by it."""
    from core.plans.checked import checked_pattern, checked_sparsity, checked_steps
    from core.plans.criteria import checked_criterion
    from core.plans.criteria import why_not as no_meaning
    from core.plans.patterns import parse_pattern
    from core.plans.plan import Cut
    from core.plans.units import why_not

    if kept is not None:
        made = ("uniform", "channels", "heads", "pattern", "align", "engine", "layers", "criterion", "repair")
        if given := typed(*made):
            raise SecateurError(f"--from takes a kept plan as it is; leave out {', '.join(given)}")
        ref, book = open_book(workspace, model)
        hand_over(book.get(ref, kept).plan, out, as_json)
        return
    for fraction in (uniform, channels, heads):
        checked_sparsity(fraction or 0.0)
    if pattern is not None:
        if parse_pattern(pattern).is_tiles and uniform is None:
            raise SecateurError("how much goes? Give --uniform 0.5, say, or a pattern that tells it, --pattern 2:4")
        Cut("every layer", pattern, uniform)  # an N:M has a sparsity of its own
    elif uniform is None and channels is None and heads is None:
        raise SecateurError("say what to cut: --uniform 0.5 (weights), --pattern 2:4, --channels 0.5 or --heads 0.5")
    from core.plans import cut_words
    from core.plans.costs.steps import off_blocks, off_blocks_lines, on_steps
    from core.pruning.criteria.calibration import Calibration
    from core.pruning.masks import MaskMaker, checked_repairs
    from core.pruning.structure import find_structure
    from core.pruning.uniform import uniform_plan
    from core.workload.identity.fingerprint import model_fingerprint
    from core.workload.loading import canonical_ref, load_workload

    checked_criterion(criterion)
    checked_steps(align)
    checked_pattern(layers)
    ref = canonical_ref(model)
    if align not in (None, 1) and not channels:
        refuse_idle("no channels are cut, whose number it rounds; give --channels with it", "align")
    if engine is not None and not channels:
        raise SecateurError(f"--engine {engine} says whose steps channels are rounded to; give --channels with it")
    workload = load_workload(ref)
    ends, whose = _ends(workspace, ref, align, engine, model_fingerprint(workload.model)) if channels else ({}, "")
    align = align if isinstance(align, int) else 1
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
    if whose:
        found, notes = on_steps(found, structure.targets, ends)
        notes = (
            f"widths are rounded up to the end of steps measured in {whose}; --align 1 keeps what was asked",
            *notes,
        )
        click.echo("\n".join(notes), err=True)
    for line in off_blocks_lines(off_blocks(found, structure.targets)):
        click.echo(line, err=True)
    if repair is not None:
        found = replace(found, repair=repair)
        maker = MaskMaker(workload.model, structure.targets, structure.groups, Calibration.of(workload))
        for cut, why in checked_repairs(maker, found).items():
            click.echo(cut_words.not_repaired_text(cut, why), err=True)
    hand_over(found, out, as_json)


def _ends(workspace: Path, ref: str, align: Any, engine: str | None, model: str) -> tuple["Ends", str]:
    """Widths that may be left, and whose steps they are; nothing where a number is given, or no step is known of the
    model as it is now, by its fingerprint."""
    from core.jobs.known.findings import ends_of, stairs_of

    if isinstance(align, int):
        if engine is not None:
            raise SecateurError(
                f"--engine {engine} says whose steps count, and --align {align} takes none; leave one out"
            )
        return {}, ""
    store = open_store(workspace, create=False) if workspace.is_dir() and any(workspace.iterdir()) else None
    described = store.description(ref) if store is not None else None
    if store is None or described is None or described[0].fingerprint != model:
        if align is None and engine is None:
            return {}, ""
        raise SecateurError(
            f"--align auto takes steps that were measured, and none of {ref} as it is now was in this workspace; "
            f"`secateur profile {ref} --widths --engines {engine or 'onnx'}` measures them"
        )
    if align is None and engine is None and not stairs_of(store, described[0]):
        return {}, ""
    return ends_of(store, described[0], "auto", engine)
