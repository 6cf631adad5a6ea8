"""What can be delivered: what a plan makes of the model, or a recovered model as it is."""

from dataclasses import dataclass
from pathlib import Path

from core import wording
from core.jobs.kept_rounds import recovered_path, write_recovered
from core.jobs.known_variants import known_variants
from core.jobs.runs import Run
from core.plans.plan import SparsityPlan
from core.sensitivity.report import Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import workbench
from dashboard.variants_panel import name_of


@dataclass(frozen=True)
class Deliverable:
    """One thing that can be exported.

    Attributes:
        plan: what is cut; of a recovered model nothing.
        recovery, iteration: of a recovered one, its run and round.
    """

    plan: SparsityPlan
    recovery: str | None = None
    iteration: int | None = None

    @property
    def is_recovered(self) -> bool:
        """Whether it is a model that was trained after its cuts."""
        return self.recovery is not None

    def reference(self, ref: str) -> str:
        """Of the model to load: `ref`, or a workload file of the round, which is written now.

        Raises:
            SecateurError: the checkpoint is gone, or the file cannot be written.
        """
        if self.recovery is None or self.iteration is None:
            return ref
        return str(write_recovered(workbench.runs(), workbench.runs().get(self.recovery), self.iteration))


def deliverables(ref: str, found: Description) -> dict[str, Deliverable]:
    """By what a person reads: the plan on the Tune screen, every measured one, newest first, then recovered models."""
    plans: dict[str, SparsityPlan] = {}
    measured: dict[str, SparsityPlan] = {}
    for run in workbench.runs().list("measure", ref):
        plan = SparsityPlan.from_document(run.request["plan"])
        if workbench.is_current(run, found) and (run.result or {}).get("drop") and plan not in measured.values():
            measured[f"{run.id}: {measured_words(run)}"] = plan
    draft = workbench.runs().draft(ref)
    if draft.cuts:
        words = next((label for label, plan in measured.items() if plan == draft), "not measured yet")
        plans[f"the plan on the Tune screen: {len(draft.cuts)} cuts, {words.partition(': ')[2] or words}"] = draft
    plans |= {label: plan for label, plan in measured.items() if plan != draft}
    recovered = [one for one in known_variants(workbench.runs(), found, None) if one.kind == "recovered"]
    return {
        **{label: Deliverable(plan) for label, plan in plans.items()},
        **{name_of(one): Deliverable(SparsityPlan(), one.run, one.iteration) for one in recovered},
    }


def measured_words(run: Run) -> str:
    """What a measured plan removes, and what that costs."""
    result = run.result or {}
    scale = Scale.from_json(result["metric"])
    removed = wording.share_text(result["n_removed"] / max(1, result["n_weights"]))
    blocks = sum(cut["granularity"] == "block" for cut in run.request["plan"]["cuts"])
    skipped = f" and {blocks} block{'s' * (blocks > 1)} skipped" if blocks else ""  # they are no zeros to count
    return f"{removed} removed{skipped}, measured drop {wording.drop_with_interval(scale, Estimate(**result['drop']))}"


def runs_of(kind: str, ref: str, choices: dict[str, Deliverable]) -> list[Run]:
    """Runs of a kind on the model and on what was recovered of it, newest first."""
    runs = workbench.runs()
    paths = [
        str(Path(recovered_path(runs, runs.get(one.recovery), one.iteration)))
        for one in choices.values()
        if one.recovery is not None and one.iteration is not None
    ]
    found = [run for place in (ref, *paths) for run in runs.list(kind, place)]  # type: ignore[arg-type]
    return sorted(found, key=lambda run: -run.created)
