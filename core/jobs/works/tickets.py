"""What the worker does to look for lottery tickets."""

from dataclasses import asdict
from typing import Any

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import stop_check
from core.recovery.tickets.experiment import Tickets
from core.recovery.tickets.report import TicketReport, Trained
from core.recovery.tickets.request import TicketRequest
from core.workload.workload import Workload


def do_tickets(run: Run, workload: Workload, runs: RunStore) -> None:
    """Every training is on disk when it is told of; a run that goes on, or asks for more seeds, reads those."""
    request = TicketRequest.from_json(dict(run.request))
    trained: list[Trained] = []
    scale = workload.metric.scale

    def result() -> dict[str, Any]:
        report = TicketReport(scale, tuple(trained), request.tolerance)
        units = [{**asdict(unit), "next_mask": ""} for unit in trained]  # masks are in the folder
        return {**report.to_json(), "trained": units, "verdict": report.verdict()}

    def on_unit(unit: Trained) -> None:
        trained.append(unit)
        phase = f"seed {unit.seed}, round {unit.round}, {unit.variant}"
        runs.update(run.id, done=len(trained), phase=phase, result=result())

    folder = runs.workspace.subfolder("tickets")
    experiment = Tickets(workload, request, folder, on_unit, stop_check(run, runs))
    runs.update(run.id, total=experiment.n_units, phase="training", result=result())
    experiment.run()
