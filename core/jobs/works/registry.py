"""What the worker does for each kind of run. The only part of `jobs` that needs torch."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import describe_first, describe_whole
from core.plans.plan import SparsityPlan
from core.workload.workload import Workload


def do_describe(run: Run, workload: Workload, runs: RunStore) -> None:
    """Nothing but what every run does: loading the workload has described it."""
    runs.update(run.id, total=1, done=1)


def do_graph(run: Run, workload: Workload, runs: RunStore) -> None:
    """The network of the workload's model, with the places of the targets that its description lists."""
    from core.graph.traced import network_of

    known = runs.description(run.workload)
    assert known is not None, "a run describes its model first"
    runs.update(run.id, total=1, phase="exporting the model")
    network = network_of(workload.model, tuple(workload.evaluation.inputs), known[0].targets)
    runs.update(run.id, done=1, result={"model": known[0].fingerprint, "network": network.to_json()})


# modules by name: each needs what no other does, and a sweep waits for none of it
HANDLERS: Mapping[str, str] = MappingProxyType(
    {
        "describe": "registry.do_describe",
        "graph": "registry.do_graph",
        "sweep": "sweep.do_sweep",
        "pairs": "pairs.do_pairs",
        "measure": "plan.do_measure",
        "anchors": "tuning.do_anchors",
        "minimise": "tuning.do_minimise",
        "refine": "refine.do_refine",
        "undo": "undo.do_undo",
        "frontier": "frontier.do_frontier",
        "recover": "recover.do_recover",
        "tickets": "tickets.do_tickets",
        "bits": "bits.do_bits",
        "profile": "profiling.do_profile",
        "stairs": "profiling.do_stairs",
        "pays": "profiling.do_pays",
        "export": "export.do_export",
        "quantize": "bits.do_quantize",
        "verify": "export.do_verify",
        "certify": "certify.do_certify",
    }
)

IN_PASSING = ("sweep", "pairs", "bits")  # they describe the model themselves, once there is a first number
OF_ONE_PLAN = ("measure", "undo", "recover", "tickets", "profile", "pays", "export", "quantize", "verify", "certify")


def waits_for_groups(run: Run) -> bool:
    """Whether a run needs to know which channels go together: where it cuts some, makes the model smaller, or chooses
    among all cuts. Of weights and heads nobody has to wait for them."""
    if run.kind not in OF_ONE_PLAN:
        return True
    plan = run.request.get("plan")
    cuts = SparsityPlan.from_document(plan).cuts if plan else ()
    return run.request.get("form") == "shrunk" or any(cut.granularity == "channel" for cut in cuts)


def perform(run: Run, runs: RunStore, workload: Workload) -> None:
    """Do a run with a loaded workload, whose description is remembered first, unless the run does so in passing."""
    if run.kind not in IN_PASSING:
        (describe_whole if waits_for_groups(run) else describe_first)(run, runs, workload)
    module, name = HANDLERS[run.kind].split(".")
    getattr(importlib.import_module(f"core.jobs.works.{module}"), name)(run, workload, runs)
