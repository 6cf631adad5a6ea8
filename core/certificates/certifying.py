"""Certifying: a plan, or a trained model, beside the dense one, batch by batch, until the answer is certain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.certificates.bound import (
    check_bounded,
    least_examples,
    level,
    lower_bound,
    more_examples,
    unit_drops,
    upper_bound,
)
from core.certificates.certificate import Certificate, State, check_asked
from core.certificates.trained import trained_pairs
from core.errors import SecateurError
from core.numbers import limit_text
from core.plans.plan import SparsityPlan
from core.sensitivity.forwards.set_aside import Part, certified_on
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Failure
from core.sensitivity.measuring.stopping import never_stop
from core.sensitivity.statistics.sound import not_finite_text
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.scale import Scale
from core.workload.workload import Workload


@dataclass(frozen=True)
class Asked:
    """What is asked of a plan.

    Attributes:
        within: the drop, in the metric's unit.
        confidence: of all certificates on the same examples together, in (0.5, 1).
        number: which of the plans that were looked at on them, from 1.

    Raises:
        SecateurError: one is out of its range.
    """

    within: float
    confidence: float = 0.95
    number: int = 1

    def __post_init__(self) -> None:
        check_asked(self.within, self.confidence)


def examples_for(workload: Workload) -> tuple[Workload, int]:
    """What certificates of a workload are made on, and how many examples that is.

    Raises:
        SecateurError: the metric has no bound, or nothing is set aside.
    """
    check_bounded(workload.metric.scale, workload.metric.weigh is not None)
    on = certified_on(workload)
    n = workload.n_held if workload.holdout is None else len(workload.holdout)
    if not n:
        raise SecateurError(
            f"no example of {workload.name} is set aside: its {len(workload.evaluation):,} evaluation examples are too "
            "few to spare any; name examples for certificates: Workload(holdout=Examples(…))"
        )
    return on, n


def measured_for(workload: Workload, check: Callable[[], None] = never_stop) -> Measurement:
    """A measurement on what certificates of a workload are made on, which keeps no evidence."""
    on, n = examples_for(workload)
    return Measurement(on, None, n, check=check, part=part_for(workload))


def part_for(workload: Workload) -> Part:
    """Of the evaluation examples of what `examples_for` gives."""
    return "held" if workload.holdout is None else "whole"


def check_askable(workload: Workload, n: int, asked: Asked) -> None:
    """Refuse what no number of examples, or not this one, can answer.

    Raises:
        SecateurError: even a plan that changes nothing would need more examples.
    """
    metric = workload.metric
    least = least_examples(metric.scale, asked.within, level(asked.confidence, asked.number))
    if least is None or least > n:
        need = "more than there can be" if least is None else f"{least:,}"
        raise SecateurError(
            f"{n:,} examples are too few: to be within {limit_text(metric.scale, asked.within)} even a plan that "
            f"changes nothing takes {need}; ask for a larger drop or less confidence, or name more examples: "
            "Workload(holdout=Examples(…))"
        )


def certify(
    measurement: Measurement,
    plan: SparsityPlan,
    asked: Asked,
    tell: Callable[[Certificate], None] = lambda _: None,
    until: int | None = None,
) -> Certificate:
    """Measure a plan on what is set aside until it is certain that it is within, or that it is not.

    Args:
        measurement: entered, on the examples of `examples_for`, all of them.
        plan: of its model; an empty one for a trained model as it is, of a workload with a teacher.
        asked: what is to be shown.
        tell: told after every batch.
        until: on so many examples and no others, as a certificate says that was made earlier.

    Raises:
        SecateurError: the plan cannot be measured, or gives a score that is no number.
        Cancelled: what was measured is on disk.
    """
    measurement.prepare(plan)
    workload, examples = measurement.workload, held_fingerprint(measurement)
    is_trained = workload.teacher is not None
    teacher = model_fingerprint(workload.dense_model) if is_trained else None
    dense, cut = np.zeros(0), np.zeros(0)
    certificate: Certificate | None = None
    for before, after in (trained_pairs if is_trained else _cut_pairs)(measurement, plan):
        dense, cut = np.concatenate([dense, before]), np.concatenate([cut, after])
        if reason := not_finite_text(after) or not_finite_text(before):
            raise SecateurError(f"the {'model' if is_trained else 'plan'} cannot be certified: {reason}")
        certificate = certified(
            workload.metric.scale, dense[:until], cut[:until], asked,
            (plan.fingerprint(), measurement.model_hash, examples, measurement.batches.n), teacher,
        )  # fmt: skip
        tell(certificate)
        if certificate.n == until if until is not None else certificate.state != "open":
            break
    assert certificate is not None, "there is at least one batch"
    return certificate


def _cut_pairs(
    measurement: Measurement, plan: SparsityPlan
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Scores of the dense model and of the plan, batch by batch, which are kept as evidence."""
    key, store = measurement.cell_key(plan), measurement.store
    known = measurement.known(key)
    for i in range(len(measurement.batches)):
        measurement.check()
        evidence = known.get(i)
        if evidence is None:
            for _, _, found in measurement.run([(i, [(0, plan)])]):
                if isinstance(found, Failure):
                    raise SecateurError(f"the plan cannot be certified: {found.reason}")
                evidence = found
        measurement.dense_evidence(i)
        assert evidence is not None, "one plan was measured"
        if i not in known and store is not None:
            store.add(key, {measurement.batches.keys[i]: evidence})
        yield measurement.dense_scores([i])[0], evidence.scores.astype(np.float64)


def held_fingerprint(measurement: Measurement) -> str:
    """Of all the examples of a measurement, in their order."""
    order = torch.cat(measurement.batches.positions)
    return measurement.workload.evaluation.take(order).fingerprint()


def certified(
    scale: Scale,
    dense: NDArray[np.float64],
    cut: NDArray[np.float64],
    asked: Asked,
    of: tuple[str, str, str, int],
    teacher: str | None = None,
) -> Certificate:
    """What scores so far say.

    Args:
        scale: of the metric.
        dense, cut: scores of the same examples, in the order in which they came, (n,).
        asked: what is to be shown.
        of: fingerprints of plan, model and examples, and how many of these there are.
        teacher: as of a `Certificate`.
    """
    alpha = level(asked.confidence, asked.number)
    bound, floor = (of_drop(scale, dense, cut, alpha) for of_drop in (upper_bound, lower_bound))
    drops = unit_drops(scale, dense, cut)
    state: State = "certified" if bound <= asked.within else "exceeded" if floor > asked.within else "open"
    more = more_examples(scale, drops, asked.within, alpha) if state == "open" else None
    drop = scale.drop(float(dense.mean()), float(cut.mean()))
    return Certificate(
        scale, *of, asked.within, asked.confidence, asked.number, len(cut), drop, bound, floor, state, more,
        teacher,
    )  # fmt: skip
