"""A workload: the model you want to study, the data it is judged on, and the metric.

Secateur calls `workload()` whenever it needs the model, each time in a new process, so it must give the same
weights every time. This file runs as it is; replace the three marked parts by your own. Name files by a path from
`Path(__file__).parent`: the working directory is not always the same.
"""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core import Examples, Workload, accuracy

CHECKPOINT = Path(__file__).with_suffix(".safetensors")


# 1. Your model. Import it from your own package instead, if you have one.
def make_model() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))


# 2. Your data: tensors whose first dimension counts examples. `Examples.from_dataset(dataset, limit=2000)` makes
#    them from a map-style torch Dataset of (input, label) pairs. Here: four overlapping clouds of points.
def make_examples(n: int, seed: int) -> Examples:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (n,), generator=generator)
    centres = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    return Examples((centres[labels] + 1.5 * torch.randn(n, 20, generator=generator),), labels)


def train(model: nn.Module, data: Examples) -> None:
    """Stands in for the training that your model already has; delete it."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss = nn.functional.cross_entropy(model(data.inputs[0]), data.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


# 3. What Secateur asks for.
def workload() -> Workload:
    model = make_model()
    training = make_examples(2000, seed=1)
    if not CHECKPOINT.exists():
        torch.manual_seed(0)
        model = make_model()
        train(model, training)
        draft = CHECKPOINT.with_suffix(f".{os.getpid()}")
        save_file(model.state_dict(), draft)
        draft.replace(CHECKPOINT)  # at once: another process may be reading
    model.load_state_dict(load_file(CHECKPOINT))  # your own: safetensors, never a pickle
    return Workload(
        name=Path(__file__).stem,
        model=model.eval(),
        evaluation=make_examples(1000, seed=2),  # what accuracy is measured on
        metric=accuracy(),  # or another (docs/your-model.md; no labels? agreement()), or a core.Metric of your own
        calibration=make_examples(500, seed=3),  # what a criterion may look at; no example of `evaluation`
        training=training,  # for recovery fine-tuning; no example of `evaluation`
        sweep_examples=None,  # how many of `evaluation` a sweep uses; None = all
        batch_size=250,
        # What is known of each evaluation example, to see who suffers from a cut, e.g. columns={"site": site_names}.
        # Labels that are classes are such a column by themselves; class_names=("cat", "dog", ...) gives them names.
        # Attention heads are found in nn.MultiheadAttention, and in a module of your own that has `num_heads`,
        # `head_dim` and a linear `out_proj` which reads the heads one after the other.
    )
