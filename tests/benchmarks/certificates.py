"""How often is a certificate false, how many examples does it take, and does a gate find what it says it finds?

`python -m tests.benchmarks.certificates [--scores FILE] [--model fashion-resnet] [--plans 24] [--replays 1000]`.
Scores of the dense model and of plans, per example, are measured once on all evaluation examples and kept in FILE. In
each replay the examples are halved anew; on a sample of the one half the plan that looks best is chosen, in the other
half it is certified by the functions that `secateur certify` and `secateur gate` call, on examples drawn at random.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import norm

from core.certificates.bound import level, lower_bound, upper_bound
from core.certificates.certifying import Asked, certified
from core.certificates.gate import Margins, judge
from core.sensitivity.statistics.intervals import drop_estimate
from core.workload.scale import Scale
from tests.benchmarks.record import Column, Table, recordable, write_record

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
LOOKS = (50, *range(250, 2001, 250), *range(2500, 8001, 500))
CHOSEN_ON = 500  # examples of the other half by which a plan is chosen, out of all
ASKED = (0.005, 0.01, 0.02)  # drops that are asked about
ALPHA = 0.05
Array = np.ndarray


def recorded(path: Path, model: str, n_plans: int) -> tuple[Array, Array]:
    """Scores of the dense model, (n,), and of plans, (plans, n): from the file, or measured into it."""
    if not path.exists():
        from core import load_workload
        from core.plans.plan import Cut, SparsityPlan
        from core.sensitivity.measuring.measurement import Measurement

        rng = np.random.default_rng(0)
        workload = load_workload(model)
        with Measurement(workload, None, len(workload.evaluation), part="whole") as measurement:
            names = [target.name for target in measurement.targets if target.granularity == "weight"]
            measurement.dense()
            batches = range(len(measurement.batches))
            plans = []
            for p in range(n_plans):
                around = 0.08 + 0.27 * p / max(1, n_plans - 1)
                cuts = [
                    Cut(name, "weight", float(np.clip(around + rng.normal(0, 0.08), 0.01, 0.9)), "magnitude")
                    for name in names
                ]
                plan = SparsityPlan(tuple(cuts), model)
                measurement.prepare(plan)
                found = {i: one for i, _, one in measurement.run((i, [(0, plan)]) for i in batches)}
                plans.append(np.concatenate([found[i].scores for i in batches]))
                print(f"plan {p + 1} of {n_plans}: around {around:.2f}", flush=True)
            dense, _ = measurement.dense_scores(batches)
        np.savez_compressed(path, dense=dense, plans=np.stack(plans))
    with np.load(path) as kept:
        return kept["dense"].astype(np.float64), kept["plans"].astype(np.float64)


def fixed_n(drop: float, spread: float, within: float) -> float:
    """Examples that a paired test of a fixed n needs to show that a drop is within, nine times in ten."""
    if drop >= within:
        return np.inf
    return float(((norm.isf(ALPHA) + norm.isf(0.1)) * spread / (within - drop)) ** 2)


def certificates(dense: Array, plans: Array, replays: int) -> Table:
    """How often each asked drop was certified, falsely, and at how many examples."""
    rows = []
    for within in ASKED:
        for edge in (False, True):
            rng = np.random.default_rng(1)
            false = over = certain = missed = fixed_false = 0
            ns, tests = [], []
            for _ in range(replays):
                order = rng.permutation(len(dense))
                half, other = order[: len(order) // 2], order[len(order) // 2 :]
                few = rng.choice(half, CHOSEN_ON, replace=False)
                looks = dense[few].mean() - plans[:, few].mean(1)
                # the sparsest plan that looks to be within; at the edge, the best-looking of those that are not
                truths = dense[other].mean() - plans[:, other].mean(1)
                if edge:
                    bad = np.flatnonzero(truths > within)
                    chosen = int(bad[np.argmin(looks[bad])])
                else:
                    good = np.flatnonzero(looks <= within)
                    chosen = int(good[-1]) if len(good) else int(np.argmin(looks))
                truth = float(truths[chosen])
                drawn = rng.choice(other, LOOKS[-1])
                d, p = dense[drawn], plans[chosen][drawn]
                missed += any(upper_bound(ACCURACY, d[:n], p[:n], level(1 - ALPHA, 1)) < truth for n in LOOKS)
                over += truth > within
                for n in LOOKS:
                    found = certified(ACCURACY, d[:n], p[:n], Asked(within, 1 - ALPHA), ("", "", "", LOOKS[-1]))
                    if found.state != "open":
                        break
                if found.state == "certified":
                    certain += 1
                    false += truth > within
                    ns.append(found.n)
                    tests.append(fixed_n(truth, float((dense - plans[chosen])[other].std()), within))
                # what looking again and again at a fixed-n interval would have certified
                fixed_false += truth > within and any(
                    drop_estimate(ACCURACY, d[:n], p[:n]).high <= within for n in LOOKS
                )
            row = [
                f"{100 * within:g}", "the best-looking that is not" if edge else "the sparsest that looks within",
                over / replays, certain / replays, false / replays, missed / replays, fixed_false / replays,
                float(np.median(ns)) if ns else None, float(np.median(tests)) if tests else None,
            ]  # fmt: skip
            print(row, flush=True)
            rows.append(row)
    columns = (
        Column("asked, points"), Column("plan"), Column("truly not within", form=".1%"),
        Column("certified", form=".1%"), Column("falsely", form=".1%"),
        Column("bound ever below the truth", form=".1%"),
        Column("falsely, by looking at fixed-n intervals", form=".1%"), Column("n, median", form=",.0f"),
        Column("n of a paired test of fixed n", form=",.0f"),
    )  # fmt: skip
    return Table(columns, rows, "Certificates")


def gates(dense: Array, plans: Array, replays: int) -> Table:
    """Whether a gate finds a planted loss of one point at the n that it announces, and how often it cries wolf."""
    rows = []
    for name, candidate in (("identical", dense), ("sparse", plans[0]), ("sparser", plans[len(plans) // 3])):
        for within in (0.0, 0.005):
            rng = np.random.default_rng(2)
            drops = dense - candidate
            # as the baseline but for noise: as many examples won as lost, so that the true loss is the margin
            announced, found = [], 0
            wolf = 0
            for _ in range(replays):
                pilot = rng.choice(len(dense), 1000)
                report = judge(
                    ACCURACY, dense[pilot], _worse(candidate, dense, within, pilot, rng), {}, {},
                    Margins(within, {}), len(dense),
                )  # fmt: skip
                n = report.sees_at
                announced.append(n)
                planted = within + report.sees - within
                drawn = rng.choice(len(dense), n)
                hurt = _worse(candidate, dense, planted, drawn, rng)
                said = judge(ACCURACY, dense[drawn], hurt, {}, {}, Margins(within, {}), n)
                looks = [m for m in LOOKS if m < n]
                found += said.verdict == "worse" or any(
                    lower_bound(ACCURACY, dense[drawn][:m], hurt[:m], ALPHA) > within for m in looks
                )
                even = _worse(candidate, dense, within, drawn, rng)
                wolf += any(lower_bound(ACCURACY, dense[drawn][:m], even[:m], ALPHA) > within for m in (*looks, n))
            row = [name, f"{100 * within:g}", float(np.mean(drops != 0)), float(np.median(announced)),
                   found / replays, wolf / replays]  # fmt: skip
            print(row, flush=True)
            rows.append(row)
    columns = (
        Column("candidate"), Column("accepted, points"), Column("examples that differ", form=".1%"),
        Column("n announced, median", form=",.0f"), Column("a point more is found", form=".1%"),
        Column("false alarms", form=".1%"),
    )  # fmt: skip
    return Table(columns, rows, "Gate")


def _worse(candidate: Array, dense: Array, drop: float, drawn: Array, rng: np.random.Generator) -> Array:
    """Scores of a candidate on examples, with as many broken, or mended, that its true drop is `drop`."""
    mine = candidate[drawn].copy()
    miss = drop - float(dense.mean() - candidate.mean())
    if miss >= 0:
        mine[(mine == 1) & (rng.random(len(mine)) < miss / candidate.mean())] = 0
    else:
        mine[(mine == 0) & (rng.random(len(mine)) < -miss / (1 - candidate.mean()))] = 1
    return mine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, default=Path(tempfile.gettempdir()) / "secateur-certificates.npz")
    parser.add_argument("--model", default="fashion-resnet")
    parser.add_argument("--plans", type=int, default=24)
    parser.add_argument("--replays", type=int, default=1000)
    recordable(parser)
    options = parser.parse_args()
    dense, plans = recorded(options.scores, options.model, options.plans)
    print("drops, points:", np.round(100 * (dense.mean() - plans.mean(1)), 2))
    tables = [certificates(dense, plans, options.replays), gates(dense, plans, options.replays)]
    write_record(
        options, "Certificates and gates", "How often is a certificate or a gate wrong, and what does it cost?", tables,
        f"Falsely: certified though the true drop, on the other half, is larger; may stop at {len(LOOKS)} looks.",
        [f"Scores of {options.model}, {len(dense):,} examples, {len(plans)} plans, {options.replays:,} replays a row.",
         "A paired test of fixed n is told the true drop and spread beforehand, and finds it nine times in ten."],
    )  # fmt: skip


if __name__ == "__main__":
    main()
