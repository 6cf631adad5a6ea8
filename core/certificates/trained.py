"""Models with trained weights: what they were trained on and chosen by, and their scores beside the dense model's."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import SecateurError
from core.plans.plan import SparsityPlan
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.measurement import Measurement
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.workload import Workload

MEND = "recover the dense model again, or compare the two by `secateur gate`"


def check_trained(workload: Workload) -> None:
    """Refuse a model of which nobody knows that its training and its rounds kept off what is set aside.

    A workload's training data share no example with what is set aside, which loading it checks: so it is enough that
    the rounds were trained on the data that it names now.

    Args:
        workload: with a teacher, from which its drop is told.

    Raises:
        SecateurError: it was trained elsewhere or by an older build, on other data, or judged on what is set aside.
    """
    name, origin = workload.name, workload.origin
    if not origin or origin[0].model != model_fingerprint(workload.dense_model):
        raise SecateurError(
            f"nobody kept what the weights of {name} were trained on, so which examples they have not seen is not "
            f"known: {MEND}"
        )
    now = workload.training.fingerprint() if workload.training is not None else None
    for stage in origin:
        if stage.kind != "recovered":
            continue
        data = {making.get("training") for making in stage.rounds or ({},)}
        if None in data:
            raise SecateurError(
                f"a round of {name} does not say what it was trained on: an older Secateur made it; {MEND}"
            )
        if data != {now}:
            raise SecateurError(
                f"refused: a round of {name} was trained on other data than the workload names now, and whether these "
                f"hold examples of the certificate is not known; put the training data back, or {MEND}"
            )
        if workload.holdout is None and (stage.looked_at or 0) > workload.n_open:
            raise SecateurError(
                f"refused: these examples were used for choosing: rounds of {name} were judged on "
                f"{stage.looked_at:,} examples, some of them set aside for certificates; name examples that nothing "
                "has looked at: Workload(holdout=Examples(…))"
            )


def trained_pairs(
    measurement: Measurement, plan: SparsityPlan
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Scores of the dense model and of the trained one, batch by batch; nothing is kept on disk.

    Args:
        measurement: entered, of a workload with a teacher.
        plan: that the trained model is cut by; an empty one leaves it as it is.

    Yields:
        Two arrays of (n,) in the measurement's order.
    """
    workload, metric = measurement.workload, measurement.workload.metric
    device = measurement.inputs(0)[0].device
    dense = copy.deepcopy(workload.dense_model).to(device).eval()
    model = pruned_copy(workload.model, measurement.maker.cut_tensors(plan)).to(device).eval()
    for i in range(len(measurement.batches)):
        measurement.check()
        inputs, size, counted = measurement.inputs(i), measurement.batches.size(i), measurement.counted(i)
        with torch.inference_mode():
            before = dense(*inputs)
            reference = before if metric.against == "dense" else measurement.labels(i)
            pair = [metric.score_batch(one, reference, size, counted) for one in (before, model(*inputs))]
        first, second = (scores.numpy().astype(np.float64) for scores in pair)
        yield first, second
