"""The preview: what every cut seems to cost, from one backward pass per calibration batch. Nothing here is measured."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from core.errors import SecateurError
from core.plans.criteria import FACTS
from core.plans.plan import Cut
from core.pruning.criteria.calibration import BATCH_SIZE
from core.pruning.criteria.calibration_sums import MAX_EXAMPLES
from core.pruning.criteria.gradients import requiring_gradients, summed_loss
from core.pruning.masks import MaskMaker
from core.sensitivity.gradient_scores import HeadScores, WeightScores, head_scores, weight_scores
from core.sensitivity.measuring.stopping import Cancelled, never_stop
from core.workload.examples import Examples
from core.workload.kept_state import KeptState
from core.workload.workload import Workload


@dataclass(frozen=True)
class Preview:
    """Estimates to look at until there is evidence.

    Attributes:
        estimates: per cut, higher = costs more. Comparable between the weight cuts of a model, and between its heads;
            not with each other, and not in the metric's unit. A cut that no gradient reaches is absent, and so is one
            whose criterion changes the weights that stay.
        n: calibration examples behind them; 0 without a preview.
        reason: why there is no preview.
    """

    estimates: dict[Cut, float]
    n: int
    reason: str | None = None


def preview(
    workload: Workload,
    maker: MaskMaker,
    cuts: Sequence[Cut],
    device: str = "cpu",
    check: Callable[[], None] = never_stop,
    max_examples: int | None = MAX_EXAMPLES,
) -> Preview:
    """Estimate what each cut costs from gradients of the metric's loss on calibration data.

    Weights: half of δᵀFδ, δ the removed entries and F the empirical Fisher matrix, summed from the gradients G of
    batches as (Σ over removed G·w)² (see `WeightScores`). The diagonal of F alone is the Σ(g·w)² of Molchanov et al.
    2019, arXiv:1906.10771; it ranked the measured cells of fashion-resnet as well and of the other samples less well,
    Σ|g·w| was worse on all three, and what keeps the signed first-order term swung with the number of examples.
    Heads: |Σ A·∂L/∂A| of each example, averaged, A the head's output before the projection; Michel et al. 2019,
    arXiv:1905.10650, without their normalisation per layer, which ranked the samples' heads less well.

    Args:
        workload: its model is left as it was found: weights, gradients, flags, buffers, mode, hooks, device.
        maker: of masks of that model.
        cuts: what to estimate.
        device: where the model runs.
        check: called before each batch; raises `Cancelled` to stop.
        max_examples: calibration examples, from the first on; `None` for all.

    Returns:
        Estimates, or the reason why there are none: whatever goes wrong here must not stop a sweep.

    Raises:
        Cancelled: `check` said so.
    """
    if not workload.calibration:
        return Preview({}, 0, "the workload has no calibration data")
    if workload.metric.loss is None:
        return Preview({}, 0, f"metric {workload.metric.scale.name!r} has no loss to take gradients of")
    examples = workload.calibration.first(max_examples)
    kept = KeptState(workload.model)
    try:
        workload.model.to(device).eval()
        kept.note_working_state()
        with kept.guarded_parameters():
            estimates = _estimates(workload, maker, cuts, examples, kept, check)
    except Cancelled:
        raise
    except SecateurError as error:
        return Preview({}, 0, str(error))
    except Exception as error:
        return Preview({}, 0, f"taking gradients raised {type(error).__name__}: {error}")
    finally:
        kept.restore()
    return Preview(estimates, len(examples))


def _estimates(
    workload: Workload,
    maker: MaskMaker,
    cuts: Sequence[Cut],
    examples: Examples,
    kept: KeptState,
    check: Callable[[], None],
) -> dict[Cut, float]:
    model, of_metric = workload.model, workload.metric.losses
    # what is removed must lie inside what is removed at a higher sparsity, and what stays must stay as it is
    cuts = [cut for cut in cuts if cut.criterion is None or FACTS[cut.criterion].nested]
    scores: list[WeightScores | HeadScores] = [*weight_scores(model, maker, cuts), *head_scores(model, maker, cuts)]
    if not scores:
        return {}
    parameters = list({id(p): p for score in scores for p in score.parameters}.values())
    inference = torch.inference_mode(False)  # the caller may be inside it
    with inference, torch.enable_grad(), requiring_gradients(parameters), _watching(scores):
        for batch in examples.batches(min(BATCH_SIZE, workload.batch_size)):
            check()
            for score in scores:
                score.inputs.clear()
            try:
                loss = summed_loss(model, of_metric, batch, f"metric {workload.metric.scale.name!r}")
                inputs = [x for score in scores for x in score.inputs]
                # autograd.grad and not backward: nothing is added to anybody's .grad
                found = torch.autograd.grad(loss, [*parameters, *inputs], allow_unused=True)
            finally:
                kept.restore_buffers()
            gradients = {id(x): g for x, g in zip([*parameters, *inputs], found, strict=True)}
            for score in scores:
                score.add(gradients, len(batch))
    estimates = {cut: value for score in scores for cut, value in score.estimates(len(examples)).items()}
    n_bad = sum(not math.isfinite(value) for value in estimates.values())
    if n_bad:
        raise SecateurError(f"the gradients of {n_bad} of {len(estimates)} cuts are NaN or infinite")
    return estimates


@contextmanager
def _watching(scores: Sequence[WeightScores | HeadScores]) -> Iterator[None]:
    handles = [
        score.projection.register_forward_pre_hook(score.watch) for score in scores if isinstance(score, HeadScores)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
