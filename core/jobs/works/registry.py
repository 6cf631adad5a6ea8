"""What the worker does for each kind of run. The only part of `jobs` that needs torch."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.submissions import IN_MEMORY
from core.jobs.works.bits import do_bits, do_quantize
from core.jobs.works.certify import do_certify
from core.jobs.works.export import do_export
from core.jobs.works.pairs import do_pairs
from core.jobs.works.plan import do_measure
from core.jobs.works.profiling import do_profile
from core.jobs.works.recover import do_recover
from core.jobs.works.refine import do_refine
from core.jobs.works.sweep import do_sweep
from core.jobs.works.tickets import do_tickets
from core.jobs.works.tuning import do_anchors, do_minimise
from core.jobs.works.undo import do_undo
from core.jobs.works.verify import do_verify
from core.profiling.target_flops import flops_by_target
from core.pruning.structure import everything
from core.workload.description import describe
from core.workload.workload import Workload


def do_describe(run: Run, workload: Workload, runs: RunStore) -> None:
    """Nothing but what every run does: loading the workload has described it."""
    runs.update(run.id, total=1, done=1)


HANDLERS: Mapping[str, Callable[[Run, Workload, RunStore], None]] = MappingProxyType(
    {
        "describe": do_describe,
        "sweep": do_sweep,
        "pairs": do_pairs,
        "measure": do_measure,
        "anchors": do_anchors,
        "minimise": do_minimise,
        "refine": do_refine,
        "undo": do_undo,
        "recover": do_recover,
        "tickets": do_tickets,
        "bits": do_bits,
        "profile": do_profile,
        "export": do_export,
        "quantize": do_quantize,
        "verify": do_verify,
        "certify": do_certify,
    }
)


def perform(run: Run, runs: RunStore, workload: Workload) -> None:
    """Do a run with a loaded workload, whose description is remembered first."""
    if not run.workload.startswith(IN_MEMORY):  # of one made in a script there will be no second look
        known = runs.description(run.workload)
        runs.remember(describe(run.workload, workload, everything, known[0] if known else None, flops_by_target))
    HANDLERS[run.kind](run, workload, runs)
