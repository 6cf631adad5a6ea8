"""What the worker does to measure a whole plan."""

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import groups_of, measurement_for
from core.plans.plan import SparsityPlan
from core.sensitivity.measuring.plan_measurement import plan_measurement
from core.sensitivity.statistics.groups import told_groups
from core.workload.workload import Workload


def do_measure(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure a whole plan, masked; if asked for, make the smaller model too and measure that one."""
    plan = SparsityPlan.from_document(run.request["plan"])
    runs.update(run.id, total=1, phase="measuring the plan")
    asked = run.request
    with measurement_for(
        run, workload, runs, asked["samples"], 0, asked["device"], part="whole", skip=asked.get("skip", 0)
    ) as measurement:
        measured = plan_measurement(measurement, plan)
        result = {**measured.to_json(), "model": measurement.model_hash, "notes": list(measurement.notes())}
        if measured.outcome.drop is not None:
            result["groups"] = told_groups(groups_of(measurement, plan))
        if run.request.get("form") == "shrunk" and measured.outcome.metric is not None:
            from core.delivery.shrunk import shrunk_workload

            runs.update(run.id, phase="shrinking the model and comparing it with the masked one")
            result["shrunk"] = shrunk_workload(measurement, plan).to_json()
    runs.update(run.id, result=result, done=1)
