"""Rounds of recovery as people read them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from core import numbers
from core.certificates.choice import choice_texts
from core.recovery.history import Round
from core.recovery.reproduction.parting import Parting, Reproduction
from core.recovery.request import RecoverRequest
from core.recovery.round_file import number_of
from core.sensitivity.report import Estimate
from core.workload.scale import Scale

GIVEN = "given"  # the schedule of one's own
SCHEDULE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "one_shot": "one shot: all at once",
        "linear": "linear: the same share every round",
        "cubic": "cubic: much at first, little at last",
        "geometric": "geometric: the same share of what remains",
        GIVEN: "given: your own sparsity after each round",
    }
)
SPREAD_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "global": "smallest weights of the whole model",
        "uniform": "the same share of every layer",
        "erk": "ERK: by the shape of the layers",
        "lamp": "LAMP: by the weights' share of their layer",
    }
)
TRAINING_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "epochs": "epochs per round", "steps": "steps per round, in place of epochs", "rate": "learning rate",
        "last": "last round, times as long", "decay": "decay of the rate", "patience": "patience, epochs",
        "validation": "held back of the training examples", "clip": "gradients, largest norm",
    }
)  # fmt: skip


def round_columns(scale: Scale) -> tuple[str, ...]:
    """What the cells of a round are."""
    drop = f"drop, {numbers.drop_unit(scale)}"
    return ("round", "removed", "untrained", "trained", drop, "95 % interval", "steps", "seconds")


def round_cells(scale: Scale, row: Round) -> tuple[str, ...]:
    """One round, as `round_columns` names it; a dash where nothing could be measured."""
    return (
        str(row.iteration),
        numbers.share_text(row.sparsity),
        numbers.metric_text(scale, row.before.value) if row.before else "–",
        numbers.metric_text(scale, row.after.value) if row.after else "–",
        numbers.drop_text(scale, row.drop.value) if row.drop else "–",
        numbers.drop_interval(scale, row.drop) if row.drop else "–",
        f"{row.steps:,}",
        f"{row.seconds:.1f}",
    )


def settings_rows(request: RecoverRequest) -> list[tuple[str, str]]:
    """All that a recovery was asked for, each with its value, in the words of the form."""
    schedule, training = request.schedule, request.fine_tuning
    typed = ", ".join(numbers.share_text(share) for share in schedule.given)
    rows = [
        ("schedule", SCHEDULE_WORDS[schedule.name] + (f": {typed}" if typed else "")),
        ("rounds", f"{schedule.num_iterations}"),
        ("starts from", f"round {number_of(request.start)} of an earlier recovery" if request.start else "dense"),
    ]
    if request.plan is not None:
        rows.append(("cuts", f"a plan of {len(request.plan['cuts']):,} cuts"))
    else:
        rows += [
            ("cuts", f"one sparsity of all weights, up to {numbers.share_text(schedule.final_sparsity)}"),
            ("spread over the layers", SPREAD_WORDS[request.spread]),
            ("criterion", request.criterion),
        ]
    rows += [
        ("initial sparsity", numbers.share_text(schedule.initial_sparsity)),
        ("evaluation examples", "all" if request.samples == "all" else f"{request.samples:,}"),
        ("tolerance", "none" if request.tolerance is None else f"{request.tolerance:.6g} in the metric's unit"),
        ("device", request.device),
    ]
    for name, value in training.to_json().items():
        shown = ", ".join(value) if isinstance(value, list | tuple) else "–" if value is None else f"{value}"
        rows.append((TRAINING_WORDS.get(name, name.replace("_", " ")), shown or "none"))
    return rows


def outcome_lines(
    scale: Scale, history: Sequence[Round], result: Mapping[str, Any], tolerance: float | None
) -> list[str]:
    """The dense model, and the best round within the tolerance."""
    dense = Estimate(**result["dense"])
    which = "Dense, before it was cut" if result.get("cut_before") else "Dense"
    lines = [
        f"{which}: {numbers.metric_with_interval(scale, dense)}. Drops are from it, in {numbers.drop_unit(scale)}, "
        "paired on the same examples."
    ]
    if tolerance is not None and history:
        limit = numbers.limit_text(scale, tolerance)
        if result["best"] is None:
            lines.append(f"No round has the whole interval of its drop within {limit}.")
        else:
            row = history[result["best"] - 1]
            lines.append(
                f"Best round within {limit}: {row.iteration}, with {numbers.share_text(row.sparsity)} of the weights "
                "gone (all of the interval lies within)."
            )
            lines += choice_lines(scale, row, result)
    if history:
        lines.append(f"Checkpoint of the last round, in the workspace: {result['checkpoint']}")
    return lines


def choice_lines(scale: Scale, row: Round, result: Mapping[str, Any]) -> list[str]:
    """By which examples the best round was chosen, and what it costs on those that none was chosen by.

    Args:
        scale: of the metric.
        row: the best round.
        result: of the run; one of an older build says nothing of a choice.
    """
    if "choice" not in result:
        n = row.drop.n if row.drop is not None else 0
        return [f"It was chosen and is judged on the same {n:,} examples: it is costlier than it looks there."]
    if result["choice"] is None:
        return ["What it costs on examples that it was not chosen by is measured when all rounds are done."]
    return [f"{text}." for text in choice_texts(scale, result["choice"])]


def reproduced_text(found: Reproduction) -> str:
    """What is said of a bundle whose weights were made again, bit for bit."""
    how = f" recovered again in {found.rounds} round{'s' * (found.rounds != 1)} and" if found.rounds else ""
    if found.taken:
        how = " taken as it is and"
    lines = [
        f"{found.bundle} is reproduced: {found.workload},{how} cut by the plan, gives all {found.tensors:,} tensors "
        f"({found.entries:,} entries) bit for bit."
    ]
    if found.taken:
        lines.append(f"Not done again: {found.taken}.")
    if found.otherwise:
        lines.append(f"Though otherwise than when it was made: {'; '.join(found.otherwise)}.")
    return "\n".join(lines)


def parted_text(found: Reproduction) -> str:
    """What is said of one whose weights could not be made again: where they part, how far, and the likely reason."""
    assert found.parting is not None
    text = f"{found.bundle} is not reproduced from {found.workload}: it parts at {found.parting.at}"
    if found.parting.tensor is not None:
        text += f"; {_apart_text(found.parting, found)}"
    if found.taken:
        text += f"; not done again: {found.taken}"
    if found.otherwise:
        return f"{text}. Otherwise than when it was made: {'; '.join(found.otherwise)}"
    return f"{text}. Model, versions and machine are as they were: the bundle's weights are not what it says made them"


def _apart_text(parting: Parting, found: Reproduction) -> str:
    kind = f" ({parting.difference})" if parting.difference else ""
    text = f"the first tensor that differs is {parting.tensor}{kind}; {parting.tensors:,} of {found.tensors:,} differ"
    if not parting.entries:
        return text
    if parting.largest is None:
        return f"{text}, in {parting.entries:,} of {found.entries:,} entries, some by no finite number"
    return f"{text}, in {parting.entries:,} of {found.entries:,} entries, by {parting.largest:.3g} at most"
