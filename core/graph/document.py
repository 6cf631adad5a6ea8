"""A network and what is known of it as one document of plain values, with a version. No torch."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from core.graph.facts import Known, LayerFacts
from core.graph.network import Network
from core.plans.plan import SparsityPlan
from core.workload.description import Description

FORMAT, VERSION = "secateur.graph", 1


def graph_document(
    network: Network,
    found: Description,
    facts: Sequence[LayerFacts],
    tolerance: float | None,
    plan: SparsityPlan | None = None,
    timed: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The document that `secateur graph --format json` prints; docs/graph.md tells its fields.

    Args:
        network, found: of one model.
        facts: of `layer_facts`.
        tolerance: of their limits, in the metric's unit; `None` where nothing was measured.
        plan: that they tell of; `None` for none.
        timed: batch and threads of the milliseconds; `None` where none is known.
    """
    known = {(one.granularity, one.target): one for layer in facts for one in layer.known}
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": found.ref,
        "fingerprint": found.fingerprint,
        "metric": asdict(found.scale),
        "tolerance": tolerance,
        "plan": plan.to_document() if plan is not None and plan.cuts else None,
        "timed": timed,
        "examples": network.examples,
        "reason": network.reason,
        "operations": [asdict(one) for one in network.operations],
        "targets": [
            {**asdict(place), **_known_values(known.get((place.granularity, place.target)))} for place in network.places
        ],
        "layers": [{name: value for name, value in asdict(layer).items() if name != "known"} for layer in facts],
        "modules": dict(network.modules),
    }


def _known_values(known: Known | None) -> dict[str, Any]:
    if known is None:
        return {"limit": None, "planned": None, "drops": []}
    return {"limit": known.limit, "planned": known.planned, "drops": [_drop(one) for one in asdict(known)["drops"]]}


def _drop(drop: dict[str, Any]) -> dict[str, Any]:
    return {"sparsity": drop["sparsity"], "criterion": drop["criterion"], **drop["drop"]}
