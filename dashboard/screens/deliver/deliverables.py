"""What can be exported and quantized: what a plan makes of the model, or a round that a recovery has kept."""

from collections.abc import Iterator
from dataclasses import dataclass

from core import numbers
from core.jobs.known.kept_plan import ID_DIGITS, MeasuredPlan
from core.jobs.known.kept_rounds import kept_numbers, recovered_models, recovered_path, write_recovered
from core.jobs.known.plan_book import PlanBook
from core.jobs.run import Kind, Run
from core.plans.plan import SparsityPlan
from core.plans.repairs import repair_words
from core.recovery.history import Round
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.screens.recover.rounds_panel import round_text


@dataclass(frozen=True)
class Deliverable:
    """A model to deliver.

    Attributes:
        words: on screen.
        plan: that cuts it; empty for a recovered round, which keeps its own zeros.
        recovery, round: where a recovered one comes from; `None` of a plan.
    """

    words: str
    plan: SparsityPlan
    recovery: Run | None = None
    round: int | None = None

    @property
    def id(self) -> str:
        """In an address: that of the plan, or run and round."""
        return self.plan.fingerprint()[:ID_DIGITS] if self.recovery is None else f"{self.recovery.id}.{self.round}"

    @property
    def short(self) -> str:
        """`recovered round 2 of run 3f2a`, `the plan's model`."""
        return (
            "the plan's model" if self.recovery is None else f"recovered round {self.round} of run {self.recovery.id}"
        )

    def place(self, ref: str) -> str:
        """As `reference`; the file of the round may not be written yet."""
        if self.recovery is None or self.round is None:
            return ref
        return str(recovered_path(workbench.runs(), self.recovery, self.round))

    def reference(self, ref: str) -> str:
        """The workload that the plan is of: the model itself, or the file of the round, which is written.

        Raises:
            SecateurError: the checkpoint of the round is gone, or the file cannot be written.
        """
        if self.recovery is None or self.round is None:
            return ref
        return str(write_recovered(workbench.runs(), self.recovery, self.round))


def deliverables(ref: str, found: Description) -> list[Deliverable]:
    """Plans as `plans_to_export` gives them, then every kept round, newest first."""
    plans = plans_to_export(ref, found)
    return [*(Deliverable(words, plan) for words, plan in plans.items()), *_rounds(ref, found)]


def plans_to_export(ref: str, found: Description) -> dict[str, SparsityPlan]:
    """The plan on the Tune screen, then every measured one, newest first; each plan once.

    Anchors come last: they were made to learn from, and the newest is the most ruinous.
    """
    plans: dict[str, SparsityPlan] = {}
    measured: dict[str, SparsityPlan] = {}
    for one in PlanBook(workbench.runs().workspace).measured(ref, found.fingerprint):
        plan = one.kept.plan
        if one.result.drop is not None and plan not in measured.values():
            measured[f"{one.result.run}: {measured_words(one)}"] = plan
    draft = workbench.runs().draft(ref)
    if n := len(draft.cuts):
        repaired = f"{repair_words(draft.repair)}, " if draft.repair else ""
        words = next((label for label, plan in measured.items() if plan == draft), f"{repaired}not measured yet")
        plans[f"the plan on the Tune screen: {n} cut{'s' * (n > 1)}, {words.partition(': ')[2] or words}"] = draft
    made_by = {one.fingerprint: one.made_by for one in PlanBook(workbench.runs().workspace).all(ref)}
    last = sorted(measured, key=lambda label: made_by.get(measured[label].fingerprint()) == "anchor")
    return {**plans, **{label: measured[label] for label in last if measured[label] != draft}}


def measured_words(one: MeasuredPlan) -> str:
    """What a measured plan removes, and what that costs, whether a measurement or an export has told it."""
    result, plan = one.result, one.kept.plan
    removed = numbers.share_text(result.n_removed / max(1, result.n_weights))
    repair = repair_words(plan.repair)
    blocks = sum(cut.granularity == "block" for cut in plan.cuts)
    skipped = f" and {blocks} block{'s' * (blocks > 1)} skipped" if blocks else ""  # they are no zeros to count
    repaired = f", {repair}" if repair else ""
    assert result.drop is not None, "asked for by `plans_to_export`"
    drop = numbers.drop_with_interval(result.scale, result.drop)
    return f"{removed} removed{skipped}{repaired}, measured drop {drop}"


def _rounds(ref: str, found: Description) -> Iterator[Deliverable]:
    for run in workbench.runs().list("recover", ref):
        if not workbench.is_current(run, found):
            continue
        result = run.result or {}
        history = [Round.from_json(dict(row)) for row in result.get("history", ())]
        for n in reversed(kept_numbers(workbench.runs(), run)):
            words = f"recovered in run {run.id}, {round_text(found.scale, history[n - 1], result)}"
            yield Deliverable(words, SparsityPlan(), run, n)


def runs_of(kind: Kind, ref: str) -> list[Run]:
    """Runs of a kind on a model, and on what its recoveries have made of it, newest first."""
    refs = {ref, *recovered_models(workbench.runs(), ref)}
    return [run for run in workbench.runs().list(kind) if run.workload in refs]


def origin_of(run: Run, ref: str) -> tuple[Run, int] | None:
    """The recovery and the round of it that a run worked on; `None` if that was the model itself."""
    return recovered_models(workbench.runs(), ref).get(run.workload)
