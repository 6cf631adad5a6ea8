"""A recovered model as a workload of its own: swept, profiled and exported like any other."""

import copy
from dataclasses import replace
from pathlib import Path

from core.recovery.checkpoint import put_model_state, read_checkpoint
from core.workload.workload import Workload


def recovered(workload: Workload, checkpoint: Path | str) -> Workload:
    """The same data and metric, with the weights of a round.

    Args:
        workload: that was recovered; its own model stays as it is.
        checkpoint: path of the round, `….safetensors`.

    Returns:
        A workload named after the round, whose model is a copy with exact zeros where it was cut, and whose teacher is
        the dense model: recovered further, what is zero stays zero, and drops are from the dense model.

    Raises:
        SecateurError: no checkpoint, a damaged one, or one of another model.
    """
    path = Path(checkpoint).expanduser()
    found = read_checkpoint(path)
    model = copy.deepcopy(workload.model)
    put_model_state(model, found.model)
    name = f"{workload.name}, recovered, round {len(found.history)}"
    return replace(workload, name=name, model=model.eval(), teacher=workload.dense_model)
