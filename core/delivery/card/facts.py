"""What a card says, read from a manifest: tables of words and numbers, the same for Markdown and HTML. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import wording
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.report import Estimate
from core.workload.scale import Scale

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Table:
    """A table of a card.

    Attributes:
        columns: titles.
        rows: of as many cells as there are columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Card:
    """What a card says.

    Attributes:
        title: of the card.
        summary: the most important, in sentences.
        variants: the dense model and what was made of it, side by side.
        cuts: what was cut, and by which criterion.
        classes: what each class lost; `None` if the data have no classes or nobody measured them.
        files: what is in the bundle, with hashes.
        refused: formats that cannot hold this model, with reasons.
        made: versions, machine, hashes of the dense model, by name.
        command: that makes the bundle again; `None` if it was not made by one.
        notes: how to read the numbers.
    """

    title: str
    summary: tuple[str, ...]
    variants: Table
    cuts: Table
    classes: Table | None
    files: Table
    refused: tuple[tuple[str, str], ...]
    made: tuple[tuple[str, str], ...]
    command: str | None
    notes: tuple[str, ...]


def card_of(manifest: Mapping[str, Any], plan: SparsityPlan) -> Card:
    """Read a card from a manifest.

    Args:
        manifest: of a bundle, of version 2.
        plan: that the bundle was cut by.
    """
    measured, scale = manifest["measured"], Scale.from_json(manifest["measured"]["metric"])
    form = manifest.get("form", "masked")
    drop = Estimate(**measured["drop"])
    share = measured["n_removed"] / max(1, measured["n_weights"])
    summary = (
        f"{wording.share_text(share)} of the weights that can be cut are gone ({measured['n_removed']:,} of "
        f"{measured['n_weights']:,}); {FORMS[form]}.",
        f"It costs {wording.drop_with_interval(scale, drop)} of {scale.name}, paired with the dense model.",
    )
    return Card(
        f"{manifest['workload']}, {form}",
        summary,
        _variants(manifest["variants"], scale),
        _cuts(plan),
        _classes(manifest.get("classes"), scale),
        _files(manifest),
        tuple(sorted(manifest["refused"].items())),
        tuple(_made(manifest)),
        manifest.get("command"),
        _notes(scale, manifest),
    )


FORMS = {
    "masked": "they are zeros in tensors of the same shape",
    "shrunk": "channels, heads and blocks are taken out, and the model is smaller",
}


def _variants(rows: Sequence[Mapping[str, Any]], scale: Scale) -> Table:
    def row(one: Mapping[str, Any]) -> tuple[str, ...]:
        metric, drop = one["metric"], one["drop"]
        return (
            one["name"],
            wording.metric_with_interval(scale, Estimate(**metric)) if metric else NOT_MEASURED,
            wording.drop_with_interval(scale, Estimate(**drop)) if drop else "",
            f"{one['parameters']:,}",
            f"{one['nonzeros']:,}",
            wording.bytes_text(one["bytes"]),
            wording.flops_text(one["flops"]) if one["flops"] is not None else NOT_MEASURED,
        )

    columns = ("model", scale.name, "drop", "parameters", "non-zeros", "as safetensors", "FLOPs of one example")
    return Table(columns, tuple(row(one) for one in rows))


def _cuts(plan: SparsityPlan) -> Table:
    rows = [(cut.target, wording.granularity_text(cut.granularity), _removed(cut), _why(cut)) for cut in plan.cuts]
    return Table(("target", "of", "removed", "chosen by"), tuple(rows))


def _removed(cut: Cut) -> str:
    return wording.removed_text(cut) if cut.sparsity is not None else "as a whole"


def _why(cut: Cut) -> str:
    return cut.criterion if cut.criterion is not None else "named in the plan"


def _classes(rows: Sequence[Mapping[str, Any]] | None, scale: Scale) -> Table | None:
    if not rows:
        return None
    found = [
        (
            str(one["class"]),
            f"{one['n']:,}",
            wording.metric_with_interval(scale, Estimate(**one["metric"])) if one["metric"] else NOT_MEASURED,
            wording.drop_with_interval(scale, Estimate(**one["drop"])) if one["drop"] else NOT_MEASURED,
        )
        for one in rows
    ]
    return Table(("class", "n", f"{scale.name} after the cut", "drop"), tuple(found))


def _files(manifest: Mapping[str, Any]) -> Table:
    rows = [
        (name, one["format"], wording.bytes_text(one["bytes"]), one["sha256"])
        for name, one in sorted(manifest["files"].items())
    ]
    return Table(("file", "format", "bytes", "SHA-256"), tuple(rows))


def _made(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        *((name, str(value)) for name, value in manifest["made_with"].items()),
        ("dense model", manifest["dense_model"]),
        ("dense weights", manifest["dense_state"]),
        ("evaluation examples", f"{manifest['examples']:,}"),
    ]


def _notes(scale: Scale, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [
        f"Drops are in {wording.drop_unit(scale)}; positive is worse than the dense model on the same examples. "
        "Intervals are 95 %, and speak of examples like the ones that were measured on.",
        "FLOPs count matrix products and convolutions, a multiply-add as two; they do not know of zeros.",
    ]
    if manifest.get("classes"):
        notes.append("Of many classes looked at together the worst is in part the unluckiest.")
    return tuple(notes)
