"""Statistics of batch normalisation, estimated anew after a cut: recovery that needs no training."""

import torch
from torch import nn

from core.recovery.training.split import on_device
from core.workload.examples import Examples

BatchNorm = nn.modules.batchnorm._BatchNorm
RECALIBRATION_EXAMPLES = 2_000  # more change the statistics of a batch normalisation by less than a batch does


@torch.no_grad()
def recalibrate(model: nn.Module, examples: Examples, batch_size: int) -> bool:
    """Estimate the running statistics of batch normalisation anew, as cumulative averages over training examples.

    Args:
        model: changed in its buffers alone; in evaluation mode afterwards.
        examples: inputs to look at; 2,000, drawn in an order that is always the same, for data may be sorted by class.
            A single one has no variance: then nothing is changed.
        batch_size: examples per pass; at least two are taken.

    Returns:
        Whether there is any batch normalisation with running statistics, and they were estimated.
    """
    found = [m for m in model.modules() if isinstance(m, BatchNorm) and m.track_running_stats]
    if not found or len(examples) < 2:
        return False
    device = next(model.parameters()).device
    momenta = [module.momentum for module in found]
    model.eval()
    for module in found:
        module.reset_running_stats()
        module.momentum = None  # cumulative: every batch counts alike
        module.train()
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))[:RECALIBRATION_EXAMPLES]
    for rows in order.split(max(2, batch_size)):
        batch = examples.take(rows)
        if len(batch) > 1:
            model(*on_device(batch, device).inputs)
    for module, momentum in zip(found, momenta, strict=True):
        module.momentum = momentum
    model.eval()
    return True
