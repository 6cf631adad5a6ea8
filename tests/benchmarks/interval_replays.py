"""Do 95 % intervals hold the truth 95 times of 100, and early verdicts what all the examples say?

`python -m tests.benchmarks.interval_replays [--rounds 1000] [--families REGEX]`. Scores are drawn from families whose
truth is known, light tails and heavy ones; no model, no recording. Of each it prints how often the interval of a drop
held the truth at n = 100, 300 and 1,000; at each how often it held it or a line beside the cell said that it may not;
and how often a verdict before all examples was not theirs, for cells on the very edge of 1,000 examples.
"""

import argparse
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from core.sensitivity.search.curtailment import decision
from core.sensitivity.statistics.few import carried_by_few
from core.sensitivity.statistics.intervals import Scores, drop_estimate
from core.sensitivity.sweep_words import unseen_text
from core.workload.scale import Scale
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
SCORE = Scale("label accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
COSINE = Scale("cosine", "cosine", higher_is_better=True, low=-1.0, high=1.0)
NATS = Scale("loss", "nats", higher_is_better=False, low=0.0, high=None)
PERPLEXITY = Scale("perplexity", "per token", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")

SIZES = (100, 300, 1000)
BATCH = 20  # examples after which a search looks again
POPULATION = 2_000_000  # drawn once for the truth of a family
Draw = Callable[[Generator, int], tuple[Scores, Scores]]


@dataclass(frozen=True)
class Family:
    """Scores of dense and pruned model, drawn from a known population.

    Attributes:
        scale: how they become a metric.
        draw: `(rng, n) -> dense (n,), pruned (n,)`.
    """

    scale: Scale
    draw: Draw


def _kl(spread: float) -> Draw:
    return lambda rng, n: (np.zeros(n), rng.lognormal(-4, spread, n))


def _cross_entropy(rng: Generator, n: int) -> tuple[Scores, Scores]:
    dense = rng.exponential(0.3, n)
    return dense, np.maximum(dense + rng.normal(0, 0.02, n) + (rng.random(n) < 0.05) * rng.exponential(2, n), 0)


def _light(rng: Generator, n: int) -> tuple[Scores, Scores]:
    dense = rng.gamma(4, 0.4, n)
    return dense, dense + rng.gamma(2, 0.05, n)


def _symmetric(rng: Generator, n: int) -> tuple[Scores, Scores]:
    dense = rng.gamma(4, 0.4, n)
    return dense, dense + rng.normal(0.02, 0.1, n)


def _breaking(share: float) -> Draw:
    def draw(rng: Generator, n: int) -> tuple[Scores, Scores]:
        dense = rng.normal(3, 0.4, n)
        broken = (rng.random(n) < share) * rng.exponential(4, n)
        return dense, dense + np.abs(rng.normal(0.02, 0.02, n)) + broken

    return draw


def _rare(share: float) -> Draw:
    def draw(rng: Generator, n: int) -> tuple[Scores, Scores]:
        dense = rng.beta(8, 2, n)
        return dense, dense * (1 - (rng.random(n) < share) * rng.random(n))

    return draw


def _faint(rng: Generator, n: int) -> tuple[Scores, Scores]:
    """A score or so moves by 0.01, and as rarely one is lost."""
    u = rng.random(n)
    return np.ones(n), 1 - 0.01 * (u < 0.005) - 1.0 * (u > 0.998)


def _bounded(rng: Generator, n: int) -> tuple[Scores, Scores]:
    dense = rng.beta(8, 2, n)
    return dense, np.clip(dense - rng.normal(0.02, 0.1, n), 0, 1)


def _accuracy(rng: Generator, n: int) -> tuple[Scores, Scores]:
    u = rng.random(n)
    return (u >= 0.01).astype(np.float64), (u < 0.97).astype(np.float64)


FAMILIES = {
    "KL, lognormal tail, σ = 2": Family(NATS, _kl(2.0)),
    "KL, lognormal tail, σ = 1": Family(NATS, _kl(1.0)),
    "cross-entropy, few large losses": Family(NATS, _cross_entropy),
    "perplexity, 2 % break": Family(PERPLEXITY, _breaking(0.02)),
    "perplexity, 10 % break": Family(PERPLEXITY, _breaking(0.1)),
    "bounded, 0.5 % move": Family(SCORE, _rare(0.005)),
    "bounded, 1 % move": Family(SCORE, _rare(0.01)),
    "cosine, one moves by 0.01": Family(COSINE, _faint),
    "bounded, all move": Family(SCORE, _bounded),
    "loss, gamma": Family(NATS, _light),
    "loss, normal": Family(NATS, _symmetric),
    "perplexity, gamma": Family(PERPLEXITY, _light),
    "accuracy": Family(ACCURACY, _accuracy),
}


@lru_cache
def truth(name: str) -> float:
    """The drop of the whole population."""
    family = FAMILIES[name]
    means = [scores.mean() for scores in family.draw(np.random.default_rng(1), POPULATION)]
    dense, pruned = (math.exp(m) if family.scale.aggregate == "exp_mean" else float(m) for m in means)
    return family.scale.drop(dense, pruned)


def samples(name: str, n: int, rounds: int) -> Iterator[tuple[Scores, Scores]]:
    """Independent samples of a family, the same whenever asked."""
    rng = np.random.default_rng((2, n))
    return (FAMILIES[name].draw(rng, n) for _ in range(rounds))


def coverage(name: str, n: int, rounds: int) -> tuple[float, float]:
    """How often the interval of the drop holds the truth; and how often it does, or a line beside says it may not."""
    scale, right, held, said = FAMILIES[name].scale, truth(name), 0, 0
    for dense, pruned in samples(name, n, rounds):
        drop = drop_estimate(scale, dense, pruned)
        holds = drop.low <= right <= drop.high
        held += holds
        said += holds or bool(unseen_text(scale, n)) or carried_by_few(scale, dense, pruned) is not None
    return held / rounds, said / rounds


def misjudged(name: str, n_total: int, rounds: int, step: int = BATCH) -> tuple[float, float, float]:
    """False "within" and false "beyond" of cells on the very edge, and the share of examples looked at.

    Each round is a list of its own, read in a random order.
    """
    wrong, spent = np.zeros(2), 0
    for i, (dense, pruned) in enumerate(samples(name, n_total, rounds)):
        scale = FAMILIES[name].scale
        high = drop_estimate(scale, dense, pruned).high
        within = i % 2 == 0  # the truth of this round: just within, or just beyond
        tolerance = high + (1e-9 if within else -1e-9) * max(1.0, abs(high))
        for end in (*range(step, n_total, step), n_total):
            verdict = decision(scale, dense[:end], pruned[:end], None, n_total, tolerance)
            if verdict:
                break
        spent += end
        wrong[0] += verdict == "within" and not within
        wrong[1] += verdict == "beyond" and within
    false = 2 * wrong / rounds  # of the rounds in which it could be false
    return float(false[0]), float(false[1]), spent / (rounds * n_total)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000, help="replays of each family and n; a fifth as many lists")
    parser.add_argument("--families", default="", help="regular expression, searched in their names")
    recordable(parser)
    given = parser.parse_args()
    heads = [f"{'n = ' + format(n, ','):>16}" for n in SIZES]
    print(f"{'family':34}{''.join(heads)}{'false within':>14}{'false beyond':>14}{'looked at':>11}")
    rows: list[list[Cell]] = []
    for name in FAMILIES:
        if not re.search(given.families, name):
            continue
        held = [coverage(name, n, given.rounds) for n in SIZES]
        within, beyond, spent = misjudged(name, SIZES[-1], max(2, given.rounds // 5))
        shown = "".join(f"{own:8.1%}/{said:7.1%}" for own, said in held)
        print(f"{name:34}{shown}{within:14.1%}{beyond:14.1%}{spent:11.1%}", flush=True)
        rows.append([name, *(share for pair in held for share in pair), within, beyond, spent])
    columns = [Column("family")]
    for n in SIZES:
        columns += [Column(f"held, n = {n:,}", "", ".1%"), Column("or said so", "", ".1%")]
    columns += [Column(text, "", ".1%") for text in ('false "within"', 'false "beyond"', "of the examples looked at")]
    write_record(
        given, "Intervals replayed",
        "Do 95 % intervals hold the truth where tails are heavy or examples rarely move, and are early verdicts true?",
        [Table(columns, rows)],
        "To reach: 93 %, or a line beside the cell that says why not; early verdicts 3 % at most, each way, for cells "
        f"on the very edge. {given.rounds:,} replays of each n, {max(2, given.rounds // 5):,} lists of {SIZES[-1]:,}.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
