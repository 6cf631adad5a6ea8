"""Lottery tickets of a small MLP on the bundled Fashion-MNIST: `python -m tests.benchmarks.tickets [SEEDS] [STEPS]`."""

import argparse

import torch
from torch import nn

from core import Examples, Workload, accuracy
from core.recovery.settings import FineTuning
from core.recovery.tickets.experiment import Tickets
from core.recovery.tickets.request import TicketRequest
from sample_models import fashion_mnist
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record


def main() -> None:
    """Print the rows and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="?", type=int, default=5)
    parser.add_argument("steps", nargs="?", type=int, default=300)
    recordable(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = [fashion_mnist.images_and_labels(split) for split in ("train", "t10k")]
    training, evaluation = (Examples(images, labels) for images, labels in data)
    n_inputs = training.inputs[0][0].numel()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(n_inputs, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    workload = Workload("mlp", model, evaluation, accuracy(), training=training)
    settings = FineTuning(steps=options.steps, distillation=0.0)
    request = TicketRequest("mlp", rounds=3, per_round=0.5, seeds=tuple(range(options.seeds)), fine_tuning=settings)
    report = Tickets(workload, request).run()
    n = len(evaluation)
    rows: list[list[Cell]] = []
    for row in report.rows():
        print(f"sparsity {row.sparsity:.1%}  ticket {row.ticket:.4f}  n = {n} images, {options.seeds} seeds")
        found = {name: getattr(row, name) for name in ("over_dense", "over_reinitialised", "over_random_mask")}
        for name, one in found.items():
            print(f"  {name:20} {100 * one.value:+.2f} [{100 * one.low:+.2f}, {100 * one.high:+.2f}] points")
        over = [{end: 100 * getattr(one, end) for end in ("value", "low", "high")} for one in found.values()]
        rows.append([row.sparsity, row.ticket, *over])
    print(report.verdict())
    columns = (
        Column("sparsity", "", ".1%"), Column("ticket", "", ".2%"), Column("better than dense", "points", "+.2f"),
        Column("than re-initialised", "points", "+.2f"), Column("than a random mask", "points", "+.2f"),
    )  # fmt: skip
    write_record(
        options,
        "Lottery tickets",
        "Does a winning ticket learn better than its mask with other weights, and than a random mask?",
        [Table(columns, rows)],
        f"A perceptron of {n_inputs}-64-32-10 on Fashion-MNIST, {options.seeds} seeds of {options.steps} steps, "
        f"{n:,} images; intervals of 95 % over the seeds, each of one row.",
        [f"The verdict: {report.verdict().rstrip('.')}."],
    )


if __name__ == "__main__":
    main()
