"""The map inside a plan in words. Shared by command line and dashboard; no torch."""

from core import numbers
from core.plans import cut_words
from core.plans.costs.left import Kind
from core.sensitivity.inside.report import Distance, Moved, PlaceDamage, RowWorth, Together, UndoReport

COST_NAMES: dict[Kind, str] = {
    "nonzeros": "non-zeros", "parameters": "parameters", "flops": "FLOPs", "bytes": "bytes",
    "milliseconds": "milliseconds",
}  # fmt: skip
NOTE = (
    "Each row given back alone, everything else as in the plan, beside the plan on the same examples. Rows do not add "
    "up: what several bring together stands below."
)


def n_rows_text(n: int) -> str:
    """`7 rows`."""
    return f"{n:,} row{'s' * (n != 1)}"


def change_text(report: UndoReport, moved: Moved) -> str:
    """`+0.80 [+0.31, +1.29]`, with a · where it may be 0, with n where that is not all; or why there is none."""
    if moved.state == "no effect":
        return "no effect"
    if moved.change is None:
        return "failed" if moved.state == "failed" else "waiting"
    text = f"{numbers.drop_text(report.scale, moved.change.value)} {numbers.drop_interval(report.scale, moved.change)}"
    text = text if moved.is_sure else f"{text}·"
    return f"{text}, {n_text(moved)}" if moved.is_partial else text


def n_text(moved: Moved) -> str:
    """`n = 400 so far`, of what a race has decided `n = 400`."""
    assert moved.change is not None
    return f"n = {moved.change.n:,}{' so far' if moved.stage == 'open' else ''}"


def share_text(share: float | None) -> str:
    """What comes back, or is saved, of a cost: `3.2 %`; `–` where nobody knows."""
    if share is None:
        return "–"
    return numbers.share_text(share) if share >= 0 else f"{numbers.MINUS}{numbers.share_text(-share)}"


def partial_notes(report: UndoReport) -> list[str]:
    """Of rows that are not measured on all examples, why, and what their intervals are."""
    moved = [one for row in report.rows for one in (row.back, row.further) if one is not None and one.is_partial]
    notes = []
    if any(one.stage == "open" for one in moved):
        notes.append(
            "So far: of the examples that each row says; the intervals hold at every moment, so they may be looked at."
        )
    if decided := sum(one.stage == "decided" for one in moved):
        notes.append(
            f"{decided:,} of {n_neighbours(report):,} were left by the race once the rest of the examples would hardly "
            "have changed whether they surely gain, or were narrow enough: of the n that stands there. A map without a "
            "race measures the rest."
        )
    return notes


def n_neighbours(report: UndoReport) -> int:
    """Rows that are given back, and taken a step further."""
    return sum(1 + (row.further is not None) for row in report.rows)


def worth_text(report: UndoReport, row: RowWorth) -> str:
    """`worth 0.80 points [+0.31, +1.29], costs 3.2 %`; `no effect, costs 3.2 %`; `worth 0.10 points (may be 0) …`."""
    costs = f"costs {share_text(row.costs.get(report.cost))}"
    change = row.back.change
    if row.back.state == "no effect" or change is None:
        return worth_in_short(report, row)
    text = numbers.drop_text(report.scale, change.value).removeprefix("+")
    text += f" {numbers.drop_unit(report.scale)}{'' if row.back.is_sure else ' (may be 0)'}"
    n = f", {n_text(row.back)}" if row.back.is_partial else ""
    return f"worth {text} {numbers.drop_interval(report.scale, change)}{n}, {costs}"


def worth_in_short(report: UndoReport, row: RowWorth) -> str:
    """For a narrow column: `worth 0.80, costs 3.2 %`; `no effect, costs 3.2 %`; with a · where it may be 0."""
    costs = f"costs {share_text(row.costs.get(report.cost))}"
    if row.back.state == "no effect":
        return f"no effect, {costs}"
    if row.back.change is None:
        return "could not be measured" if row.back.state == "failed" else "not measured yet"
    text = numbers.drop_text(report.scale, row.back.change.value).removeprefix("+")
    return f"worth {text}{'' if row.back.is_sure else '·'}, {costs}"


def plan_text(report: UndoReport) -> str:
    """What the plan costs, on which examples."""
    if report.drop is None:
        return "The plan itself is not measured yet."
    which = (
        "that nothing looked at which may have chosen it"
        if report.unseen
        else "that were looked at to choose plans too: there a chosen plan is flattered"
    )
    far = " so far" if 0 < report.drop.n < report.n else ""
    return f"The plan: drop {numbers.drop_with_interval(report.scale, report.drop)}{far}, on examples {which}."


def together_text(report: UndoReport, one: Together) -> str:
    """What the first rows of the map bring together."""
    names = ", ".join(cut_words.cut_text(cut) for cut in one.rows)
    if one.gain is None:
        return f"{names} given back together: could not be measured ({one.back.reason})"
    gain = numbers.drop_with_interval(report.scale, one.gain)
    text = f"{names} given back together: {gain}, costs {share_text(one.costs.get(report.cost))}"
    if one.flattered is None:
        return f"{text}; a little flattered, for the rows were chosen on these examples."
    off = numbers.drop_text(report.scale, one.flattered).removeprefix("+")
    return f"{text}; {off} were taken off, for the rows were chosen on these examples."


def cost_name(cost: Kind) -> str:
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
