"""Lottery tickets of a small MLP on the bundled Fashion-MNIST: `python tests/benchmarks/tickets.py [SEEDS] [STEPS]`."""

import sys

import torch
from torch import nn

from core import Examples, Workload, accuracy
from core.recovery.settings import FineTuning
from core.recovery.tickets.experiment import Tickets
from core.recovery.tickets.request import TicketRequest
from sample_models import fashion_mnist


def main(n_seeds: int, steps: int) -> None:
    torch.set_num_threads(1)
    data = [fashion_mnist.images_and_labels(split) for split in ("train", "t10k")]
    training, evaluation = (Examples(images, labels) for images, labels in data)
    n_inputs = training.inputs[0][0].numel()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(n_inputs, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    workload = Workload("mlp", model, evaluation, accuracy(), training=training)
    settings = FineTuning(steps=steps, distillation=0.0)
    request = TicketRequest("mlp", rounds=3, per_round=0.5, seeds=tuple(range(n_seeds)), fine_tuning=settings)
    report = Tickets(workload, request).run()
    for row in report.rows():
        print(f"sparsity {row.sparsity:.1%}  ticket {row.ticket:.4f}  n = {len(evaluation)} images, {n_seeds} seeds")
        for name in ("over_dense", "over_reinitialised", "over_random_mask"):
            found = getattr(row, name)
            print(f"  {name:20} {100 * found.value:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}] points")
    print(report.verdict())


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] + ["5", "300"][len(sys.argv) - 1 :])))
