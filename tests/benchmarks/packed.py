"""How small a pruned and quantized model gets: `python -m tests.benchmarks.packed [minilm|fashion-resnet] …`.

Prints for every way the bytes of the dense weights, of the pruned ones after plain zstd, of the packed ones without
and with quantization to int8, the share of the dense bytes, and the metric before and after, each with n and its 95 %
interval, with the paired drop from the dense model. To reach: MiniLM with half the heads and feed-forward neurons gone
30 %, with 80 % of the weights gone 15 % of the dense bytes; fashion-resnet with 90 % of the weights gone 5 %.

A model that was recovered is named by its workload file (`secateur recover --out`): it has its zeros already.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from core import SparsityPlan, find_structure, load_workload, numbers, uniform_plan
from core.delivery.bundles.bundle import unique_state
from core.delivery.packed.packing import write_packed
from core.delivery.quantized.model import write_quantized
from core.profiling.target_flops import flops_by_target
from core.pruning.allocations import allocated_plan
from core.pruning.structure import EXAMPLES
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.measurement import Measurement
from core.workload.description import describe
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

MINILM = str(Path(__file__).with_name("minilm.py"))
FEED_FORWARD = r"(^|\.)intermediate\.dense$"


def ways(name: str, workload) -> list[tuple[str, SparsityPlan, str, float | None]]:
    """What is tried of a model: a title, a plan, the form, and the share of the dense bytes to reach."""
    model = workload.model
    if name == MINILM:
        few = tuple(tensor[:EXAMPLES] for tensor in workload.evaluation.inputs)
        structure = find_structure(model, few)
        heads = uniform_plan(model, structure, heads=0.5)
        neurons = uniform_plan(model, structure, channels=0.5, layers=FEED_FORWARD)
        half = SparsityPlan((*heads.cuts, *neurons.cuts))
        return [
            ("dense", SparsityPlan(), "masked", None),
            ("half the heads and neurons", half, "shrunk", 0.30),
            ("80 % uniform", uniform_plan(model, structure, weights=0.8), "masked", 0.15),
            ("80 % LAMP", allocated("lamp", workload, 0.2), "masked", 0.15),
        ]
    if Path(name).suffix == ".py":
        return [("as recovered", SparsityPlan(), "masked", None)]
    return [
        ("dense", SparsityPlan(), "masked", None),
        ("90 % uniform", allocated("uniform", workload, 0.1), "masked", 0.05),
        ("90 % LAMP", allocated("lamp", workload, 0.1), "masked", 0.05),
    ]


def allocated(by: str, workload, left: float) -> SparsityPlan:
    """A plan of single weights that leaves so much of them."""
    found = describe(workload.name, workload, count_flops=flops_by_target)
    return allocated_plan(by, workload.model, found, left, "nonzeros")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["minilm", "fashion-resnet"])
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--samples", type=int, help="by default all")
    parser.add_argument("--plan", type=Path, help="write the plan whose model is shrunk to this file, and end")
    recordable(parser)
    args = parser.parse_args()
    rows: list[list[Cell]] = []
    if args.plan:
        name = MINILM if args.models[0] == "minilm" else args.models[0]
        plans = [plan for _, plan, form, _ in ways(name, load_workload(name)) if form == "shrunk"]
        args.plan.write_text(plans[0].to_json())
        return
    torch.set_num_threads(1)
    for model in args.models:
        name = MINILM if model == "minilm" else model
        workload = load_workload(name)
        scale = workload.metric.scale
        print(f"\n{workload.name}")
        for title, plan, form, reach in ways(name, workload):
            start = time.perf_counter()
            with (
                tempfile.TemporaryDirectory() as folder,
                Measurement(workload, None, args.samples or "all", threads=1) as measurement,
            ):
                found = write_quantized(measurement, plan, Path(folder) / "q.safetensors", form, args.bits)
                floats = None
                if form == "masked":
                    masked = pruned_copy(workload.model, measurement.maker.cut_tensors(plan))
                    floats = write_packed(unique_state(masked), Path(folder) / "f.safetensors").n_bytes
            sizes = found.sizes

            def share(n_bytes: int | None, dense: int = sizes.dense) -> str:
                return "–" if n_bytes is None else f"{n_bytes:,} ({n_bytes / dense:.2%})"

            verdict = "" if reach is None else f", to reach {reach:.0%}: {'yes' if sizes.share <= reach else 'NO'}"
            print(
                f"  {title} [{form}], {time.perf_counter() - start:.0f} s\n"
                f"    bytes   dense {sizes.dense:,}  pruned {share(sizes.pruned)}  "
                f"plain zstd {share(sizes.pruned_zstd)}  packed {share(floats)}  "
                f"int{args.bits} packed {share(sizes.packed)}{verdict}\n"
                f"    dense   {numbers.metric_with_interval(scale, found.dense)}"
            )
            rows.append([
                workload.name, title, form, sizes.dense, sizes.pruned_zstd and sizes.pruned_zstd / sizes.dense,
                floats and floats / sizes.dense, sizes.share, reach, interval(found.dense, scale.factor),
                interval(found.pruned.metric, scale.factor), interval(found.quantized.drop, scale.factor),
            ])  # fmt: skip
            for what, outcome in (("pruned", found.pruned), ("int" + str(args.bits), found.quantized)):
                if outcome.metric is None or outcome.drop is None:
                    print(f"    {what:7} {outcome.state}: {outcome.reason}")
                    continue
                metric, drop = outcome.metric, outcome.drop
                print(
                    f"    {what:7} {numbers.metric_with_interval(scale, metric)}  "
                    f"drop {numbers.drop_with_interval(scale, drop)}"
                )
            if found.own_drop:
                print(f"    quantizing alone costs {numbers.drop_with_interval(scale, found.own_drop)}")
            vanished = found.weights.n_vanished if found.weights else 0
            print(f"    codings {dict(found.codings)}, {vanished:,} weights rounded to zero", flush=True)
    columns = (
        Column("model"), Column("cut"), Column("form"), Column("dense", "bytes", ",d"), Column("plain zstd", "", ".1%"),
        Column("packed", "", ".1%"), Column(f"int{args.bits} packed", "", ".1%"), Column("to reach", "", ".0%"),
        Column("dense metric", "", ".4g"), Column("pruned metric", "", ".4g"),
        Column("drop of pruned and quantized", "", "+.3g"),
    )  # fmt: skip
    write_record(
        args, ", ".join(("Packed weights", *(Path(model).stem for model in args.models))),
        "How small do pruned and quantized weights get in a file, without training?",
        [Table(columns, rows)],
        "Shares of the dense weights' bytes; metrics of a fraction in percent, drops from the dense model in points, "
        "paired.",
    )  # fmt: skip


if __name__ == "__main__":
    main()
