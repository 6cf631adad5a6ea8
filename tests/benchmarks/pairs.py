"""Do drops add up? `python -m tests.benchmarks.pairs [MODEL …] [--sparsities 0.5,0.8] [--samples N]`.

Every two cuts of a model are measured at once and held against the sum of the two alone (`secateur pairs`).
"""

import argparse
import tempfile
import time

from core import pairs
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["fashion-resnet"])
    parser.add_argument("--sparsities", default="0.5,0.8")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--layers", default="", help="regular expression, searched in the names of targets")
    recordable(parser)
    options = parser.parse_args()
    rows: list[list[Cell]] = []
    for name in options.models:
        with tempfile.TemporaryDirectory() as workspace:
            for sparsity in map(float, options.sparsities.split(",")):
                start = time.perf_counter()
                report = pairs(
                    name, workspace=workspace, sparsity=sparsity, samples=options.samples, layers=options.layers
                )
                found = report.summary()
                assert found is not None
                print(f"{name} at {sparsity:.0%}: {found}, mean {report.mean}", flush=True)
                mean = interval(report.mean, report.scale.factor)
                sure = f"{found.n_sure} of {found.n}"
                took = time.perf_counter() - start
                rows.append([name, sparsity, sure, found.n_by_chance, mean, found.spearman, took])
    columns = (
        Column("model"), Column("sparsity", "", ".0%"), Column("pairs whose interval leaves out 0"),
        Column("so many by chance", "", ".1f"), Column("a pair costs beyond its sum", "", "+.3g"),
        Column("ρ of sum and joint", "", ".3f"), Column("took", "s", ".0f"),
    )  # fmt: skip
    write_record(
        options,
        "Pairs of cuts",
        "Do the drops of two cuts add up?",
        [Table(columns, rows)],
        "The mean over all pairs with its paired 95 % interval, in points of a fraction, in nats of a perplexity: "
        "above 0 a plan costs more than its map says.",
    )


if __name__ == "__main__":
    main()
