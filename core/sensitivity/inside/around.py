"""Measuring neighbours of a plan by what differs from the plan: replay on a copy that wears it."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.pruning.wearing import pruned_copy
from core.sensitivity.forwards.dense_scores import DenseScores
from core.sensitivity.forwards.passes import CutPass, Names, digest
from core.sensitivity.forwards.replayed import ReplayForwards
from core.sensitivity.measuring.cell_threads import Job
from core.sensitivity.measuring.cost import FEW_PLANS, FUNCTION_SECONDS, TRACING_SECONDS
from core.sensitivity.measuring.held_model import HeldModel
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Found
from core.workload.target import is_skip

NOTHING = torch.empty(0)  # in place of a tensor where a block is skipped


class AroundMeasurement(Measurement):
    """A measurement that replays neighbours of one plan.

    A sweep keeps the dense model's values and computes of a cut only what it changes. Neighbours of a plan change
    everything from the first row on; but what they change of the *plan's* values begins at the row that moved. So a
    copy of the model wears the plan, and of each neighbour only that row's tensors are replaced. Cut they are from the
    dense weights as ever, so evidence is the same as a full pass gives: the copy is compared with the masked model, bit
    for bit, then of every set of tensors the first neighbour with a full pass; what differs is measured by full passes.
    """

    _plan: SparsityPlan | None = None
    _worn: HeldModel | None = None
    _why_not: str | None = None

    def around(self, plan: SparsityPlan) -> None:
        """Neighbours of which plan are to come; it was prepared."""
        self._plan = plan
        self._touched = {cut: self.maker.parameters(SparsityPlan((cut,))) for cut in plan.cuts}

    def __exit__(self, *error: Any) -> None:
        try:
            super().__exit__(*error)
        finally:
            self._worn = None

    def replay(self, keep: bool = False) -> None:
        """From now on compute of a neighbour only what differs from the plan; a model that cannot is passed in full."""
        self._begin()
        if self._plan is None or self._worn is not None or self._why_not is not None:
            return
        if self.elsewhere is not None:
            self.elsewhere.foresee(self, replays=True)
        worn = copy.copy(self.workload)  # not `replace`, which would look at all of the data once more
        if self._plan.repair:
            self._why_not = "the plan's repair moves more of a neighbour than the row that moved"
            return
        tensors = self.maker.cut_tensors(self._plan, skipping=True)
        object.__setattr__(worn, "model", pruned_copy(self.workload.model, tensors))
        sizes = [self.batches.size(i) for i in range(len(self.batches))]
        held = HeldModel(worn, self._device, self.batches, self.check)
        try:
            held.seconds_of_a_pass()  # a model that writes into its inputs is given copies of them here
        except SecateurError as error:  # of the pruned model only, or the dense one would have been refused
            self._why_not = f"the pruned model: {error}"
            return
        skips = {name: NOTHING for cut in self._plan.cuts for name in self._touched[cut] if is_skip(name)}
        if digest(held.full.run(0, skips)) != digest(self._model.full.run(0, self.cutting.cut(self._plan))):
            self._why_not = "a copy with the plan's zeros gives other bits than the model with masks"
            return
        if not held.replay(sizes, self._memory, keep):
            self._why_not = "; ".join(held.full_passes())
            return
        self._worn = held
        if not self.threads.started:
            self.threads.start()

    def full_passes(self) -> tuple[str, ...]:
        """Why neighbours, or some of them, were measured by full passes though replay was asked for."""
        if self._why_not is not None:
            return (self._why_not,)
        return self._worn.full_passes() if self._worn is not None else ()

    def replay_pays(self, missing: Sequence[SparsityPlan]) -> bool:
        """Whether replay, which saves about half, saves more than tracing and verifying every row's tensors cost."""
        if len(missing) < FEW_PLANS:
            return False
        self.dense_evidence(0)
        rows = {names for plan in missing if (names := self._moved(plan))}
        n_tensors = sum(1 for _ in self.workload.model.parameters())
        making = TRACING_SECONDS + len(rows) * (n_tensors * FUNCTION_SECONDS + 2 * self.dense_seconds)
        return self.dense_seconds * len(missing) * self.batches.n / self.batches.size(0) / 2 > making

    def _jobs(self, dense: DenseScores, i: int, plans: Sequence[tuple[int, SparsityPlan]]) -> Iterator[list[Job]]:
        if self._worn is None:
            yield from super()._jobs(dense, i, plans)
            return
        by_names: dict[Names, list[tuple[int, SparsityPlan]]] = {}
        rest = []
        for number, plan in plans:
            names = self._moved(plan)
            if names:
                by_names.setdefault(names, []).append((number, plan))
            else:
                rest.append((number, plan))
        forwards = self._worn.forwards
        assert isinstance(forwards, ReplayForwards)
        for names, near in by_names.items():
            if forwards.is_new(names):
                self.check()
                forwards.verify(names, self._tensors(near[0][1], names))
        if rest or i not in dense.ran:
            yield from super()._jobs(dense, i, rest)
        if not by_names:
            return
        if self.workload.metric.against == "dense":
            reference = self._model.full.run(i, {})
        else:
            reference = self.batches.trimmed_labels(i, self._device)
        for opened in self._worn.open(i, list(by_names), False):
            jobs = [
                Job(i, number, self._near(i, plan, (names, passed), reference, dense.ran[i]), passed.parallel)
                for names, passed in opened.cuts.items()
                for number, plan in by_names[names]
            ]
            del opened
            yield jobs

    def _near(
        self,
        i: int,
        plan: SparsityPlan,
        cut_pass: tuple[Names, CutPass],
        reference: Any,
        of_dense: tuple[Tensor, bytes],
    ) -> Callable[[], Found]:
        names, run = cut_pass[0], cut_pass[1].run
        counted = self.batches.trimmed_counted(i, self._device)
        return lambda: self._scoring.found(
            lambda: run(self._tensors(plan, names)), reference, self.batches.size(i), of_dense, counted
        )

    def _moved(self, plan: SparsityPlan) -> Names:
        """Tensors in which a neighbour differs from the plan, and the blocks that it skips; empty if not one row moved.

        Two cuts of one place are one row.
        """
        assert self._plan is not None
        ours, theirs = set(self._plan.cuts), set(plan.cuts)
        moved = [*(ours - theirs), *(theirs - ours)]
        if len({(cut.granularity, cut.target) for cut in moved}) != 1:
            return frozenset()
        tensors = {name for cut in moved for name in self._parameters_of(cut) if not is_skip(name)}
        skips = {name for cut in plan.cuts if cut.granularity == "block" for name in self._parameters_of(cut)}
        return frozenset(tensors | skips)

    def _parameters_of(self, cut: Cut) -> Names:
        return self._touched.get(cut) or self.maker.parameters(SparsityPlan((cut,)))

    def _tensors(self, plan: SparsityPlan, names: Names) -> Mapping[str, Tensor]:
        """Of a neighbour the tensors in which it differs, cut from the dense weights by all lines that meet there."""
        lines = tuple(cut for cut in plan.cuts if self._parameters_of(cut) & names)
        cut = self.cutting.cut(SparsityPlan(lines))
        return {name: cut[name] if name in cut else self.workload.model.get_parameter(name).data for name in names}
