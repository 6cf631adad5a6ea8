"""What the workspace knows of a model's network: the graph that a run has drawn, what was measured in it. No torch."""

from dataclasses import dataclass
from typing import Any

from core.graph.document import graph_document
from core.graph.facts import LayerFacts, layer_facts
from core.graph.network import Network
from core.jobs.known.findings import is_current, known_cells, sweep_reports
from core.jobs.known.sizes import finished_runs
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan
from core.profiling.report import ProfileReport
from core.sensitivity.report import SensitivityReport, default_tolerance
from core.workload.description import Description


@dataclass(frozen=True)
class KnownNetwork:
    """A network with what is known of it.

    Attributes:
        network: of the model.
        facts: of its layers.
        tolerance: of their limits, in the metric's unit; `None` where nothing was measured.
        plan: that they tell of; empty for none.
        timed: batch and threads of the milliseconds; `None` where none is known.
    """

    network: Network
    facts: tuple[LayerFacts, ...]
    tolerance: float | None
    plan: SparsityPlan
    timed: dict[str, Any] | None

    def document(self, found: Description) -> dict[str, Any]:
        """As `secateur graph --format json` prints it."""
        return graph_document(self.network, found, self.facts, self.tolerance, self.plan, self.timed)


def network_of(runs: RunStore, found: Description) -> Network | None:
    """The newest network of the model as it is now that knows all of its targets; `None` if none was drawn."""
    targets = {(target.granularity, target.name) for target in found.targets}
    for run in runs.list("graph", found.ref):
        network = runs.network(run) if is_current(run, found.fingerprint) else None
        if network is not None and targets == {(place.granularity, place.target) for place in network.places}:
            return network
    return None


def known_network(
    runs: RunStore,
    found: Description,
    network: Network,
    plan: SparsityPlan | None = None,
    tolerance: float | None = None,
    report: SensitivityReport | None = None,
) -> KnownNetwork:
    """What the workspace knows of a network.

    Args:
        runs: of the workspace.
        found, network: of one model.
        plan: that is drawn; `None` for none.
        tolerance: the drop that is accepted; `None` for the usual one.
        report: of the sweep whose cells count; `None` for all sweeps of the model as it is now.
    """
    plan = plan or SparsityPlan()
    reports = [] if report is not None else sweep_reports(runs, found, repair=plan.repair)
    cells = report.cells if report is not None else known_cells(reports).values()
    dense = next((one.dense for one in (report, *(read for _, read in reports)) if one and one.dense), None)
    if tolerance is None and dense is not None:
        tolerance = default_tolerance(found.scale, dense.value)
    profiles = (runs.profile_report(run) for run in finished_runs(runs, "profile", found))
    profile = next((one for one in profiles if one is not None and _is_timed(one)), None)
    facts = layer_facts(network, found, cells, tolerance or 0.0, plan, profile)
    return KnownNetwork(network, facts, tolerance, plan, _timed(profile))


def _is_timed(profile: ProfileReport) -> bool:
    return any(layer.seconds is not None for layer in profile.layers)


def _timed(profile: ProfileReport | None) -> dict[str, Any] | None:
    if profile is None:
        return None
    return {"batch": profile.layers[0].batch, "threads": profile.layers[0].threads, "cpu": profile.machine.cpu}
