"""A recovered model as a workload of its own: swept, profiled and exported like any other."""

import copy
from dataclasses import replace
from pathlib import Path

from core.engines.state import unique_state
from core.recovery.checkpoint import Checkpoint, put_model_state, read_checkpoint
from core.workload.identity.fingerprint import model_fingerprint, state_fingerprint
from core.workload.identity.origin import Stage
from core.workload.workload import Workload


def recovered(workload: Workload, checkpoint: Path | str) -> Workload:
    """The same data and metric, with the weights of a round.

    Args:
        workload: that was recovered; its own model stays as it is.
        checkpoint: path of the round, `….safetensors`.

    Returns:
        A workload named after the round, whose model is a copy with exact zeros where it was cut, and whose teacher is
        the dense model: recovered further, what is zero stays zero, and drops are from the dense model. Its `origin`
        says how the round was made.

    Raises:
        SecateurError: no checkpoint, a damaged one, or one of another model.
    """
    path = Path(checkpoint).expanduser()
    found = read_checkpoint(path)
    model = copy.deepcopy(workload.model)
    put_model_state(model, found.model)
    name = f"{workload.name}, recovered, round {len(found.history)}"
    origin = (*workload.origin, _stage(workload, found))
    return replace(workload, name=name, model=model.eval(), teacher=workload.dense_model, origin=origin)


def _stage(workload: Workload, found: Checkpoint) -> Stage:
    model, state = model_fingerprint(workload.model), state_fingerprint(unique_state(workload.model))
    if found.made_by is None:
        return Stage("recovered", None, model, state)
    rounds = tuple(making.to_json() for making in found.made_by)
    looked_at = max((one.n for row in found.history for one in (row.before, row.after) if one), default=None)
    return Stage("recovered", found.made_by[0].request["workload"], model, state, rounds, looked_at=looked_at)
