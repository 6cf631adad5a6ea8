"""How quickly the tuner follows a hand, in a real Chromium: `python -m tests.benchmarks.tuner [ROWS ...]`.

A synthetic model of as many targets with 20 measured sparsities each, so that no sweep has to run. Prints for each the
median and the 95th percentile, in milliseconds, of three waits:

* drag: from an input event of a slider to the frame in which the predicted totals have changed;
* release: from letting go to the moment at which the chart below shows the new plan;
* goal: from a move of the goal to the frame in which the rows are solved anew, in the browser; and the exact solution
  on the server, as Python needs for it.
"""

import argparse
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.report import CellResult, Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Member, Target
from core.workspace import Workspace
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

SPARSITIES = (*(round(i / 20, 2) for i in range(1, 20)), 0.97)
SCALE = Scale("accuracy", "fraction", True, 0.0, 1.0)
DENSE = Estimate(0.924, 0.919, 0.929, 10_000)


def synthetic(folder: Path, n: int, sweep: bool = True, structure: bool = False, seed: int = 0) -> tuple[RunStore, str]:
    """A workspace with a model of `n` layers, of which every cut is measured if `sweep`.

    `structure`: every fourth target is a group of channels, and there are heads and a block.
    """
    rng = random.Random(seed)
    runs, ref = RunStore(Workspace(folder / "workspace")), str(folder / "synthetic.py")
    Path(ref).write_text("raise SystemExit('nothing to load: the workspace knows all')\n")
    targets: list[Target] = []
    for i in range(n):
        targets.append(_target(i, n, rng, targets if structure else []))
    n_weights = sum(target.n_weights for target in targets if target.granularity == "weight")
    found = Description(
        ref,
        "synthetic",
        "f" * 64,
        SCALE,
        10_000,
        500,
        50_000,
        2_000,
        n_weights + 10_000,
        tuple(targets),
        (),
        1,
        {target.name: 200.0 * target.n_weights for target in targets if target.granularity == "weight"},
        4 * (n_weights + 10_000),
    )
    runs.remember(found)
    if sweep:
        run, _ = runs.submit("sweep", ref, {"workload": ref})
        cells = [cell for i, target in enumerate(targets) for cell in _cells(target, i, n, rng)]
        runs.set_cells(run.id, cells)
        result = {"model": found.fingerprint, "dense": vars(DENSE), "scale": vars(SCALE), "n": DENSE.n}
        runs.update(run.id, state="finished", started=time.time(), ended=time.time(), done=len(cells), result=result)
        for i in range(6):
            _measured(runs, found, SparsityPlan.uniform(targets, 0.2 + 0.1 * i, workload=ref), rng)
    return runs, ref


def _measured(runs: RunStore, found: Description, plan: SparsityPlan, rng: random.Random) -> None:
    """A plan as if it had been measured, so that the chart of plans has something to show."""
    run, _ = runs.submit("measure", found.ref, {"workload": found.ref, "plan": plan.to_document()})
    sparsity = plan.cuts[0].sparsity or 0.0
    drop = max(0.0, 0.6 * sparsity**4 + rng.gauss(0, 0.01))
    half = 0.003 + 0.05 * drop
    metric, n = DENSE.value - drop, sum(target.n_weights for target in found.weight_targets)
    result = {
        "model": found.fingerprint, "metric": vars(SCALE), "state": "measured", "reason": None, "dense": vars(DENSE),
        "pruned": vars(Estimate(metric, metric - 0.005, metric + 0.005, DENSE.n)),
        "drop": vars(Estimate(drop, drop - half, drop + half, DENSE.n)),
        "n_removed": round(sparsity * n), "n_weights": n,
    }  # fmt: skip
    runs.update(run.id, state="finished", started=time.time(), ended=time.time(), done=1, total=1, result=result)


def _target(i: int, n: int, rng: random.Random, before: Sequence[Target]) -> Target:
    layer = f"stage{4 * i // n}.{i % max(1, n // 4)}.conv{1 + i % 2}"
    width = 8 * 2 ** (4 * i // n) * rng.choice((1, 2, 4))
    if before and i % 4 == 2:  # the channels of the layer before
        of = before[-1]
        return Target(
            of.name, "channel", "Conv2d", of.parameter, of.shape, of.n_weights, n_units=of.shape[0],
            members=(Member(of.name, "outputs"),),
        )  # fmt: skip
    if before and i % 4 == 3:
        layer = f"blocks.{i}.attn"
        return Target(
            f"{layer}:0", "head", "SelfAttention", f"{layer}.out.weight", (width, width), width * 8, layer=layer, head=0
        )
    return Target(layer, "weight", "Conv2d", f"{layer}.weight", (width, width, 3, 3), 9 * width * width)


def _cells(target: Target, i: int, n: int, rng: random.Random) -> Sequence[CellResult]:
    if target.granularity == "head":
        return [_cell(target, Cut(target.name, "head"), rng.random() * 0.02)]
    worst, power = 0.02 + 0.5 * rng.random() ** 3 + (0.3 if i in (0, n - 1) else 0), 2 + 5 * rng.random()
    return [
        _cell(target, Cut(target.name, target.granularity, s), worst * s**power + rng.gauss(0, 0.0008))
        for s in SPARSITIES
    ]


def _cell(target: Target, cut: Cut, drop: float) -> CellResult:
    half = 0.002 + 0.02 * math.sqrt(abs(drop))
    metric = max(0.1, DENSE.value - drop)
    removed = round((1.0 if cut.sparsity is None else cut.sparsity) * target.n_weights)
    return CellResult(
        cut, removed, target.n_weights, "measured",
        Estimate(metric, metric - 0.005, metric + 0.005, DENSE.n), Estimate(drop, drop - half, drop + half, DENSE.n),
    )  # fmt: skip


FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
DRAG = """async ([steps, selector]) => {
  const find = () => { for (const host of document.querySelectorAll('*')) {
    const found = host.shadowRoot && host.shadowRoot.querySelector('.tuner'); if (found) return found } }
  const tuner = find(), input = tuner.querySelector(selector)
  const drop = tuner.querySelector('[data-part=drop]'), left = tuner.querySelector('[data-part=left]')
  const leftOf = tuner.querySelector('[data-part=leftOf]')
  const times = [], frame = () => new Promise(done => requestAnimationFrame(done))
  const start = Number(input.value)
  for (let i = 0; i < steps; i += 1) {
    await frame(); await new Promise(done => setTimeout(done, 3 + i % 9))
    const before = drop.textContent + left.textContent + leftOf.textContent
    input.value = 5 + (start + 13 * (i + 1)) % 80
    const at = performance.now()
    input.dispatchEvent(new Event('input', { bubbles: true }))
    let now = before
    for (let k = 0; k < 60 && now === before; k += 1) {
      await frame(); now = drop.textContent + left.textContent + leftOf.textContent }
    await new Promise(done => { const channel = new MessageChannel()   // after that frame has been painted
      channel.port1.onmessage = done; channel.port2.postMessage(0) })
    if (now !== before) times.push(performance.now() - at)
  }
  input.dispatchEvent(new Event('change', { bubbles: true }))
  return times
}"""
RELEASE = """async sparsity => {
  const find = () => { for (const host of document.querySelectorAll('*')) {
    const found = host.shadowRoot && host.shadowRoot.querySelector('.tuner'); if (found) return found } }
  const plot = document.querySelector('.st-key-plans .secateur-plot')
  const slider = find().querySelector('.list .slider')
  const drawn = new Promise(done => plot.once('plotly_afterplot', done))
  slider.dispatchEvent(new Event('pointerdown', { bubbles: true }))
  slider.value = sparsity
  slider.dispatchEvent(new Event('input', { bubbles: true }))
  const at = performance.now()
  slider.dispatchEvent(new Event('change', { bubbles: true }))
  await drawn
  await new Promise(done => requestAnimationFrame(done))
  return performance.now() - at
}"""


def percentiles(times: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    ordered = sorted(times)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]


def on_server(runs: RunStore, ref: str, n: int = 30) -> list[float]:
    """Milliseconds in which Python solves a goal, without drawing."""
    from core.tuning.predictor import make_predictor
    from dashboard.tuner.costs import cost_kinds, with_costs
    from dashboard.tuner.edits import Goal
    from dashboard.tuner.goals import solved
    from dashboard.tuner.rows import tuner_rows

    found = runs.description(ref)[0]
    cells = runs.report(runs.list("sweep", ref)[0]).cells
    predictor, kinds = make_predictor(cells, SCALE, DENSE), cost_kinds(found)
    plan, times = SparsityPlan((), ref), []
    rows = with_costs(tuner_rows(found, plan, predictor), kinds, found)
    for i in range(n):
        begin = time.perf_counter()
        solved(Goal("nonzeros", 0.1 + 0.8 * i / n), rows, plan, predictor, found)
        times.append(1000 * (time.perf_counter() - begin))
    return times


def measure(n: int) -> list[list[Cell]]:
    """Rows of the table, printed too."""
    rows: list[list[Cell]] = []

    def told(wait: str, times: Sequence[float]) -> None:
        median, high = percentiles(times)
        print(f"  {wait:8} {median:7.1f} {high:7.1f}  (n = {len(times)})", flush=True)
        rows.append([n, wait, len(times), median, high])

    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        runs, ref = synthetic(Path(temporary), n)
        secateur = str(Path(sys.executable).with_name("secateur"))
        command = [secateur, "--port", "0", "--no-browser", "--json", "--workspace", str(runs.workspace.folder)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = json.loads(server.stdout.readline())["address"]
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            for _ in range(50):
                try:
                    page.goto(f"{address}/tune?model=synthetic")
                    break
                except Exception:
                    page.wait_for_timeout(200)
            idle = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
            page.locator(".st-key-plans .nsewdrag").wait_for()
            page.wait_for_timeout(1500)
            print(f"{n} rows of {len(SPARSITIES)} sparsities, ms: median, 95th percentile")
            told("drag", page.evaluate(DRAG, [60, ".list .slider"]))
            page.wait_for_timeout(1500)
            releases = []
            for i in range(20):
                idle.wait_for()
                page.wait_for_timeout(400)
                releases.append(page.evaluate(RELEASE, 10 + 3 * i))
            told("release", releases)
            page.wait_for_timeout(1000)
            told("goal", page.evaluate(DRAG, [60, "[data-part=goal]"]))
            told("server", on_server(runs, ref))
            browser.close()
        finally:
            server.terminate()
            server.wait()
    return rows


def main() -> None:
    """Print a block for every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=[8, 40, 200, 400])
    recordable(parser)
    options = parser.parse_args()
    found = [row for size in options.rows for row in measure(size)]
    columns = (
        Column("rows"), Column("wait"), Column("times"), Column("median", "ms", ".1f"),
        Column("95th percentile", "ms", ".1f"),
    )  # fmt: skip
    write_record(
        options,
        "How quickly the tuner follows a hand",
        "How long does it take from a move of a slider until the page shows what it means?",
        [Table(columns, found)],
        "In a headless Chromium: drag, from an input event to the painted frame with the new totals; release, from "
        "letting go to the redrawn chart; goal, the rows solved anew in the browser; server, the exact solution "
        "in Python.",
        [f"Made-up models of as many rows, {len(SPARSITIES)} sparsities each."],
    )


if __name__ == "__main__":
    main()
