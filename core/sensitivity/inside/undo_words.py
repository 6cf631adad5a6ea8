"""The map inside a plan in words. Shared by command line and dashboard; no torch."""

from core import numbers
from core.plans import cut_words
from core.sensitivity.inside.report import Distance, Moved, PlaceDamage, RowWorth, Together, UndoReport
from core.sensitivity.inside.request import Cost

COST_NAMES = {"nonzeros": "non-zeros", "parameters": "parameters", "flops": "operations"}
NOTE = (
    "Each row given back alone, everything else as in the plan, beside the plan on the same examples. Rows do not add "
    "up: what several bring together stands below."
)


def n_rows_text(n: int) -> str:
    """`7 rows`."""
    return f"{n:,} row{'s' * (n != 1)}"


def change_text(report: UndoReport, moved: Moved) -> str:
    """`+0.80 [+0.31, +1.29]`, with a · where the interval holds 0; or why there is none."""
    if moved.state == "no effect":
        return "no effect"
    if moved.change is None:
        return "failed" if moved.state == "failed" else "waiting"
    text = f"{numbers.drop_text(report.scale, moved.change.value)} {numbers.drop_interval(report.scale, moved.change)}"
    return text if moved.is_sure else f"{text}·"


def share_text(share: float | None) -> str:
    """What comes back, or is saved, of a cost: `3.2 %`; `–` where nobody knows."""
    if share is None:
        return "–"
    return numbers.share_text(share) if share >= 0 else f"{numbers.MINUS}{numbers.share_text(-share)}"


def worth_text(report: UndoReport, row: RowWorth) -> str:
    """`worth 0.80 points, costs 3.2 %`; `no effect, costs 3.2 %`; `not sure to be worth anything, …`."""
    costs = f"costs {share_text(row.costs.get(report.cost))}"
    if row.back.state == "no effect":
        return f"no effect, {costs}"
    if row.back.change is None:
        return "could not be measured" if row.back.state == "failed" else "not measured yet"
    value, unit = row.back.change.value, numbers.drop_unit(report.scale)
    text = numbers.drop_text(report.scale, value).lstrip("+")
    return f"worth {text} {unit}{'' if row.back.is_sure else ' (may be 0)'}, {costs}"


def plan_text(report: UndoReport) -> str:
    """What the plan costs, on which examples."""
    if report.drop is None:
        return "The plan itself is not measured yet."
    which = (
        "that no sweep looked at" if report.unseen else "that sweeps looked at too: there a solved plan is flattered"
    )
    return f"The plan: drop {numbers.drop_with_interval(report.scale, report.drop)}, on examples {which}."


def together_text(report: UndoReport, one: Together) -> str:
    """What the first rows of the map bring together."""
    names = ", ".join(cut_words.cut_text(cut) for cut in one.rows)
    if one.back.change is None:
        return f"{names} given back together: could not be measured ({one.back.reason})"
    gain = numbers.drop_with_interval(report.scale, one.back.change)
    return f"{names} given back together: {gain}, costs {share_text(one.costs.get(report.cost))}."


def cost_name(cost: Cost) -> str:
    """What comes back, in words."""
    return COST_NAMES[cost]


def failure_lines(report: UndoReport) -> list[str]:
    """Why some neighbours could not be measured."""
    moved = [(row.cut, row.back) for row in report.rows]
    moved += [(row.step, row.further) for row in report.rows if row.step is not None and row.further is not None]
    return [f"{cut_words.cut_text(cut)}: {one.reason}" for cut, one in moved if one.state == "failed"]


def place_text(place: PlaceDamage) -> str:
    """`block layers.3`, `layers.3.linear1`."""
    return f"block {place.name}" if place.kind == "block" else place.name


def distance_texts(place: PlaceDamage) -> tuple[str, str, str, str]:
    """Relative error alone and in the plan, cosine alone and in the plan."""
    alone = place.alone or Distance(None, None)
    return (
        _error_text(alone.error), _error_text(place.whole.error), _cosine_text(alone.cosine),
        _cosine_text(place.whole.cosine),
    )  # fmt: skip


def _error_text(error: float | None) -> str:
    return "–" if error is None else numbers.sparsity_text(round(error, 3))


def _cosine_text(cosine: float | None) -> str:
    return "–" if cosine is None else f"{cosine:.4f}".replace("-", numbers.MINUS)


def damage_note(report: UndoReport) -> str:
    """What the distances are."""
    return (
        f"How far outputs are from the dense model's, on {report.damage_n:,} examples: length of the difference over "
        "the length of the dense output. Alone: only the rows inside it are cut; in the plan: all of them."
    )
