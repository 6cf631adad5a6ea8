"""What a card says, read from a manifest: tables of words and numbers, the same for Markdown and HTML. No torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import numbers
from core.certificates.certificate import Certificate
from core.certificates.certificate_words import certificate_notes, certified_text
from core.certificates.choice import choice_texts
from core.delivery import bundle_words
from core.delivery.formats.facts import FORMATS
from core.engines.adapters.needs import title_of
from core.plans import cut_words
from core.plans.plan import Cut, SparsityPlan
from core.profiling import profile_words
from core.profiling.pays import pays_words
from core.profiling.pays.report import PaysReport
from core.profiling.report import Machine, SpeedRatio, Timing
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
        pays: what engines make of it; `None` if nobody has measured that.
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
    pays: Table | None
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
    scale = Scale.from_json(manifest["measured"]["metric"])
    form = manifest.get("form", "masked")
    return Card(
        f"{Path(manifest['workload']).name}, {form}",
        tuple(_summary(manifest, plan, scale)),
        card_variants(manifest, scale),
        _cuts(plan),
        _pays(manifest.get("pays")),
        _classes(manifest.get("classes"), scale),
        _files(manifest),
        tuple(sorted(manifest["refused"].items())),
        tuple(_made(manifest)),
        manifest.get("command"),
        _notes(scale, manifest),
    )


def _summary(manifest: Mapping[str, Any], plan: SparsityPlan, scale: Scale) -> Iterator[str]:
    measured, rows = manifest["measured"], manifest["variants"]
    form, recovery = manifest.get("form", "masked"), manifest.get("recovery")
    if recovery:
        stages = " and ".join(dict.fromkeys(STAGES[stage["kind"]] for stage in recovery))
        yield f"The model was {stages} before this bundle was cut from it; secateur reproduce does it again."
    if plan.cuts:
        share = measured["n_removed"] / max(1, measured["n_weights"])
        yield (
            f"{numbers.share_text(share)} of the weights that can be cut are gone ({measured['n_removed']:,} of "
            f"{measured['n_weights']:,}); {FORMS[form]}."
        )
        yield from _plan_origin(manifest.get("plan_origin") or {})
    else:
        yield "The plan cuts nothing: this is the model as it was, with the zeros that it had."
    last = next(row for row in reversed(rows) if row["name"] not in QUANTIZED)
    if last["drop"]:
        drop = numbers.drop_with_interval(scale, Estimate(**last["drop"]))
        yield f"It costs {drop} of {scale.name}, paired with the dense model."
    if manifest.get("recovery_choice"):
        choice = manifest["recovery_choice"]
        within = numbers.limit_text(scale, choice["tolerance"])
        yield f"The round is the sparsest of {choice['of']} within {within}."
        yield from (f"{text}." for text in choice_texts(scale, choice))
    if manifest.get("certificate"):
        yield certified_text(Certificate.from_json(manifest["certificate"]))


def _plan_origin(origin: Mapping[str, Any]) -> Iterator[str]:
    """Who made the plan, and what for."""
    made_by, goal = origin.get("made_by"), origin.get("goal")
    if isinstance(goal, Mapping):
        goal = ", ".join(f"{name} {value}" for name, value in goal.items() if value is not None)
    named = f' "{origin["name"]}"' if origin.get("name") else ""
    if made_by or goal or named:
        how = f" was made {MADE[made_by]}" if made_by in MADE else " is of unknown origin"
        yield f"The plan{named}{how}{f', for: {goal}' if goal else ''}."
    if origin.get("note"):
        yield f"Note: {origin['note']}"


MADE = {
    "hand": "by hand",
    "file": "elsewhere and read from a file",
    "limits": "from the sparsest cut of each target within a tolerance",
    "uniform": "by the same sparsity for every target",
    "baseline": "by an allocation that looks at weights alone",
    "anchor": "at random, to learn what cuts cost together",
    "solver": "by the solver from measured sensitivities",
    "minimise": "by measuring plans of the solver until the cheapest within the tolerance",
    "refine": "by measuring around the solver's plan",
}
STAGES = {"recovered": "pruned and trained in rounds", "shrunk": "made smaller"}
QUANTIZED = {name for name, facts in FORMATS.items() if facts.scheme}
FORMS = {
    "masked": "they are zeros in tensors of the same shape",
    "shrunk": "channels, heads and blocks are taken out, and the model is smaller",
}


def card_variants(manifest: Mapping[str, Any], scale: Scale) -> Table:
    """The models of a bundle side by side.

    Args:
        manifest: of version 2.
        scale: of its metric.
    """
    times = manifest.get("times")
    timed = dict.fromkeys(timing["engine"] for timing in times["timings"]) if times else {}

    def row(one: Mapping[str, Any]) -> tuple[str, ...]:
        metric, drop = one["metric"], one["drop"]
        return (
            one["name"],
            numbers.metric_with_interval(scale, Estimate(**metric)) if metric else NOT_MEASURED,
            numbers.drop_with_interval(scale, Estimate(**drop)) if drop else "",
            f"{one['parameters']:,}" if one["parameters"] is not None else NOT_MEASURED,
            f"{one['nonzeros']:,}" if one["nonzeros"] is not None else NOT_MEASURED,
            numbers.bytes_text(one["bytes"]),
            numbers.flops_text(one["flops"]) if one["flops"] is not None else NOT_MEASURED,
            *(_time(times or {}, one["name"], engine) for engine in timed),
        )

    columns = ("model", scale.name, "drop", *COUNTED[:2], "bytes on disk", *COUNTED[2:])
    engines = (f"ms, {ENGINES.get(engine, engine)}" for engine in timed)
    return Table((*columns, *engines), tuple(row(one) for one in manifest["variants"]))


COUNTED = ("parameters", "non-zeros", "FLOPs of one example")  # columns that hold no measurement
ENGINES = {"eager": "torch", "onnx": "ONNX Runtime"}


def _time(times: Mapping[str, Any], name: str, engine: str) -> str:
    """`2.10 (2.05, 2.20), n = 30; 1.04 × [0.95, 1.06] as fast`."""
    timing = next((t for t in times["timings"] if (t["variant"], t["engine"]) == (name, engine)), None)
    if timing is None:
        return NOT_MEASURED
    ratio = next((r for r in times["ratios"] if (r["variant"], r["engine"]) == (name, engine)), None)
    found = profile_words.timing_text(Timing(**timing))
    if ratio is None:
        return found
    as_fast = SpeedRatio(**ratio)
    return f"{found}; {numbers.ratio_text(as_fast.value)} {profile_words.ratio_interval(as_fast)} as fast"


def _cuts(plan: SparsityPlan) -> Table:
    rows = [(cut.target, cut_words.granularity_text(cut.granularity), _removed(cut), _why(cut)) for cut in plan.cuts]
    return Table(("target", "of", "removed", "chosen by"), tuple(rows))


def _removed(cut: Cut) -> str:
    return cut_words.removed_text(cut) if cut.sparsity is not None else "as a whole"


def _why(cut: Cut) -> str:
    return cut.criterion if cut.criterion is not None else "named in the plan"


def _classes(rows: Sequence[Mapping[str, Any]] | None, scale: Scale) -> Table | None:
    if not rows:
        return None
    found = [
        (
            str(one["class"]),
            f"{one['n']:,}",
            numbers.metric_with_interval(scale, Estimate(**one["metric"])) if one["metric"] else NOT_MEASURED,
            numbers.drop_with_interval(scale, Estimate(**one["drop"])) if one["drop"] else NOT_MEASURED,
        )
        for one in rows
    ]
    return Table(("class", "n", f"{scale.name} after the cut", "drop"), tuple(found))


def _pays(fields: Mapping[str, Any] | None) -> Table | None:
    if not fields:
        return None
    rows = [
        (title_of(row.engine) + (f" {row.version}" if row.version else ""), ", ".join(one.variant for one in alike),
         *pays_words.numbers_of(row), row.verdict)
        for alike in pays_words.told_together(PaysReport.from_json(dict(fields)).rows)
        for row in alike[:1]
    ]  # fmt: skip
    return Table(("engine", "model", *pays_words.NUMBERS, "verdict"), tuple(rows))


def _files(manifest: Mapping[str, Any]) -> Table:
    rows = [
        (name, one["format"], numbers.bytes_text(one["bytes"]), one["sha256"])
        for name, one in sorted(manifest["files"].items())
    ]
    return Table(("file", "format", "bytes", "SHA-256"), tuple(rows))


def _made(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        *((name, str(value)) for name, value in manifest["made_with"].items()),
        *((name, made["engine"]) for name, made in manifest.get("formats", {}).items() if made.get("engine")),
        ("dense model", manifest["dense_model"]),
        ("dense weights", manifest["dense_state"]),
        ("evaluation examples", f"{manifest['examples']:,}"),
    ]


def _lines(manifest: Mapping[str, Any]) -> list[str]:
    told = (
        bundle_words.shape_lines, bundle_words.config_lines, bundle_words.weightless_lines,
        bundle_words.not_run_lines, bundle_words.off_blocks_lines,
    )  # fmt: skip
    return [line for words in told for line in words(manifest)]


def _notes(scale: Scale, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    notes = [
        f"Drops are in {numbers.drop_unit(scale)}; positive is worse than the dense model on the same examples. "
        "Intervals are 95 %, and speak of examples like the ones that were measured on.",
        "FLOPs count matrix products and convolutions, a multiply-add as two; they do not know of zeros.",
    ]
    notes += [f"{line}." for line in _lines(manifest)]
    times = manifest.get("times")
    if times:
        machine, timing = Machine(**times["machine"]), times["timings"][0]
        notes.append(
            f"Milliseconds are of one forward pass of {timing['batch']} example, median and quartiles of n rounds in "
            f"which every model had its turn, {numbers.threads_text(timing['threads'])}; how many times as fast as the "
            "dense model in the same engine and round, with a 95 % interval. Measured on "
            f"{profile_words.machine_text(machine)}; they hold there and nowhere else. Zeros in place, and "
            "int8 weights that are multiplied out, make nothing faster."
        )
    if manifest.get("pays"):
        found = PaysReport.from_json(dict(manifest["pays"]))
        when = f", {manifest['pays']['date']}" if isinstance(manifest["pays"].get("date"), str) else ""
        notes.append(f"Where it pays: measured on {pays_words.measured_on(found)}{when}. {pays_words.NOTE}")
    if manifest.get("certificate"):
        notes += certificate_notes(Certificate.from_json(manifest["certificate"]))
    if manifest.get("classes"):
        notes.append("Of many classes looked at together the worst is in part the unluckiest.")
    return tuple(notes)
