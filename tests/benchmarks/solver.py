"""Milliseconds to the best plan: `python -m tests.benchmarks.solver [--sizes 500,5000] [--levels 20] [--limit 20]`

Rows of made-up targets, solved for the least harm at 20, 50 and 80 % of the way from the least cost to the largest,
and back for the least cost at 1.05 times that harm. `curves` are what sweeps give: layers of very different sizes, harm
that rises with sparsity, with noise; `steps` are flat with jumps; the others are what the literature makes hard
(Pisinger 1995): harm that has nothing, or almost everything, to do with cost. HiGHS, as scipy has it, gets the whole
first problem in the same run with a limit of time; the ratio is its time over ours. Of what was not proven the gap is
told: (objective - bound) / objective.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

from core.plans.solver.knapsack import Row, Solution, least_cost, least_harm
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

Numbers = np.ndarray
SHARES = (0.2, 0.5, 0.8)


def curves(generator: np.random.Generator, n: int, levels: int) -> tuple[Numbers, Numbers]:
    """Non-zeros left of layers, and harm as a sweep measures it."""
    sparsity = np.linspace(0, 0.95, levels)
    cost = np.round((np.exp(generator.normal(10, 2, (n, 1))).round() + 1) * (1 - sparsity))
    harm = np.exp(generator.normal(-4, 2, (n, 1))) * sparsity ** generator.uniform(1, 4, (n, 1))
    return np.maximum(harm * (1 + 0.05 * generator.normal(size=(n, levels))), 0), cost


def steps(generator: np.random.Generator, n: int, levels: int) -> tuple[Numbers, Numbers]:
    """Flat curves with jumps."""
    _, cost = curves(generator, n, levels)
    jumps = np.cumsum(generator.random((n, levels)) < 0.2, axis=1)
    return jumps * np.exp(generator.normal(-4, 1, (n, 1))), cost


def uncorrelated(generator: np.random.Generator, n: int, levels: int) -> tuple[Numbers, Numbers]:
    """Harm and cost that know nothing of each other."""
    return generator.integers(0, 1000, (n, levels)), generator.integers(1, 1000, (n, levels))


def weakly_correlated(generator: np.random.Generator, n: int, levels: int) -> tuple[Numbers, Numbers]:
    """Harm that is what the cost is not, more or less."""
    cost = generator.integers(1, 1000, (n, levels))
    return 1020 - cost + generator.integers(-10, 11, (n, levels)), cost


def strongly_correlated(generator: np.random.Generator, n: int, levels: int) -> tuple[Numbers, Numbers]:
    """Every step cuts some, and harms as much plus 10."""
    step = np.sort(generator.integers(1, 1000, (n, levels)), axis=1)
    step[:, 0] = 0
    harm = np.cumsum(step + 10 * (step > 0), axis=1)
    cost = step.sum(axis=1, keepdims=True) + 1 - np.cumsum(step, axis=1)
    return harm, cost


def subset_sum(generator: np.random.Generator, n: int, levels: int) -> tuple[Numbers, Numbers]:
    """Harm is 1 - cost, both with 16 digits: nobody can tell good from bad."""
    cost = generator.random((n, levels))
    return 1 - cost, cost


KINDS: dict[str, Callable[[np.random.Generator, int, int], tuple[Numbers, Numbers]]] = {
    one.__name__: one for one in (curves, steps, uncorrelated, weakly_correlated, strongly_correlated, subset_sum)
}


def by_highs(rows: list[Row], limit: float, seconds: float) -> tuple[float, float, bool]:
    """Milliseconds, objective (NaN without one), whether proven."""
    harm, cost = (np.concatenate([getattr(row, name) for row in rows]) for name in ("harm", "cost"))
    of = np.repeat(np.arange(len(rows)), [len(row.harm) for row in rows])
    begun = time.perf_counter()
    one_each = csr_matrix((np.ones(len(of)), (of, np.arange(len(of)))))
    scale = cost.max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = milp(
            harm / harm.max(), integrality=np.ones(len(of)), bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(one_each, 1, 1),
                LinearConstraint(cost[None, :] / scale, -np.inf, limit / scale),
            ],
            options={"mip_rel_gap": 0, "time_limit": seconds},
        )  # fmt: skip
    took = 1000 * (time.perf_counter() - begun)
    return took, np.nan if found.x is None else float(harm[found.x > 0.5].sum()), found.status == 0


def told(solution: Solution, objective: float) -> str:
    """Proven, or how large the gap is."""
    return "proven" if solution.proven else f"gap {(objective - solution.bound) / objective:.1e}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="8,50,500,5000")
    parser.add_argument("--levels", type=int, default=20)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds for HiGHS; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=0)
    recordable(parser)
    options = parser.parse_args()
    table: list[list[Cell]] = []
    print("| rows | kind | share | least harm ms | | least cost ms | | HiGHS ms | | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for n in map(int, options.sizes.split(",")):
        for kind, make in KINDS.items():
            harm, cost = make(np.random.default_rng(options.seed), n, options.levels)
            rows = [Row(str(i), tuple(map(float, harm[i])), tuple(map(float, cost[i]))) for i in range(n)]
            low, high = cost.min(axis=1).sum(), cost.max(axis=1).sum()
            for share in SHARES:
                limit = low + share * (high - low)
                begun = time.perf_counter()
                solved = least_harm(rows, limit)
                ours = 1000 * (time.perf_counter() - begun)
                begun = time.perf_counter()
                back = least_cost(rows, solved.harm * 1.05)
                cheapest = 1000 * (time.perf_counter() - begun)
                line = f"| {n:,} | {kind} | {share:.0%} | {ours:.0f} | {told(solved, solved.harm)} "
                line += f"| {cheapest:.0f} | {told(back, back.cost)} "
                table.append([n, kind, share, ours, told(solved, solved.harm), cheapest, told(back, back.cost)])
                if options.limit:
                    took, value, is_proven = by_highs(rows, limit, options.limit)
                    worse = (value - solved.harm) / solved.harm if solved.harm else value
                    what = "proven" if is_proven else f"out of time, {worse:+.1e} of our harm"
                    line += f"| {took:.0f} | {what} | {took / ours:.1f} |"
                table[-1] += [took, what, took / ours] if options.limit else [None] * 3
                print(line, flush=True)
    columns = (
        Column("rows"), Column("kind"), Column("share", "", ".0%"), Column("least harm", "ms", ".1f"), Column("harm"),
        Column("least cost", "ms", ".1f"), Column("cost"), Column("HiGHS, least harm", "ms", ".0f"), Column("HiGHS"),
        Column("HiGHS over ours", "", ".1f"),
    )  # fmt: skip
    write_record(
        options, "Milliseconds to the best plan",
        "How long does it take to solve for the best plan, and is it the best?",
        [Table(columns, table)],
        f"Rows with {options.levels} levels each; what is not proven is at most so far from the best, in parts of it; "
        f"HiGHS, as scipy has it, gets {options.limit:g} seconds.",
        [
            "`curves` are what sweeps give; the other kinds are what the literature makes hard.",
            "HiGHS over ours below 1 is a loss.",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
