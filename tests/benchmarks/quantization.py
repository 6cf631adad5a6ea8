"""Which int8: `python -m tests.benchmarks.quantization [MODEL …] [--plan FILE] [--samples N] [--batch 32]`.

In one run, for the dense model or the one that a plan masks: bytes of the file (of torchao's, of the tensors that it
keeps), time per batch as a ratio to the float model in PyTorch (all take turns, one thread; median of the paired ratios
with its 95 % interval, below 1 is faster), and the metric with n and the paired drop from the dense model. Ways:
weight-only as Secateur packs it (multiplied out again, so its time is the float model's), ONNX Runtime in float,
dynamic and static, and torchao's weight-only and dynamic (`pip install torchao`), which quantize linear layers alone.
"""

import argparse
import copy
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from core import SecateurError, SparsityPlan, load_workload, numbers
from core.delivery.bundles.bundle import unique_state
from core.delivery.packed.packing import write_packed
from core.engines.onnx_int8 import onnx_forward, write_quantized_onnx
from core.engines.onnx_writer import write_onnx
from core.profiling import profile_words
from core.profiling.machine import this_machine
from core.profiling.paired import median_interval
from core.pruning.wearing import pruned_copy, put
from core.quantization.weights import quantize_weights
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.model_measurement import measured_model
from tests.benchmarks.record import Cell, Column, Table, interval, recordable, write_record

Way = tuple[Callable[..., Any], int]  # what runs, and its bytes
TORCHAO = {"torchao weight-only": "Int8WeightOnlyConfig", "torchao dynamic": "Int8DynamicActivationInt8WeightConfig"}


def float_model(model: nn.Module, folder: Path, few, calibration) -> Way:
    return model, len(save(unique_state(model)))


def weight_only(model: nn.Module, folder: Path, few, calibration) -> Way:
    weights = quantize_weights(model)
    state = {
        name: weights.tensors[weights.names[name]] if name in weights.names else tensor
        for name, tensor in unique_state(model).items()
    }
    n_bytes = write_packed(state, folder / "packed.safetensors").n_bytes
    put(model, weights.dequantized())
    return model, n_bytes


def onnx_float(model: nn.Module, folder: Path, few, calibration) -> Way:
    path = folder / "float.onnx"
    write_onnx(model, few, path)
    return onnx_forward(path, model, few), path.stat().st_size


def onnx_int8(scheme: str) -> Callable[..., Way]:
    def make(model: nn.Module, folder: Path, few, calibration) -> Way:
        path = folder / f"{scheme}.onnx"
        write_quantized_onnx(model, few, path, scheme, calibration)
        return onnx_forward(path, model, few), path.stat().st_size

    return make


def torchao(config: str) -> Callable[..., Way]:
    def make(model: nn.Module, folder: Path, few, calibration) -> Way:
        import torchao.quantization as ao

        ao.quantize_(model, getattr(ao, config)())
        kept: dict[int, int] = {}
        for tensor in model.state_dict().values():
            parts = [getattr(tensor, name) for name in getattr(tensor, "tensor_data_names", ())] or [tensor]
            kept |= {part.data_ptr(): part.nbytes for part in parts if isinstance(part, torch.Tensor)}
        return model, sum(kept.values())

    return make


WAYS: dict[str, Callable[..., Way]] = {
    "float, PyTorch": float_model,
    "int8 weight-only, packed": weight_only,
    "float, ONNX Runtime": onnx_float,
    "int8 dynamic, ONNX Runtime": onnx_int8("dynamic"),
    "int8 static, ONNX Runtime": onnx_int8("static"),
    **{name: torchao(config) for name, config in TORCHAO.items()},
}


def ratios(runs: dict[str, Callable[..., Any]], inputs, rounds: int) -> dict[str, list[float]]:
    """Seconds of each over those of the first, round by round: what slows the machine down slows both."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            seconds = {}
            for name, run in runs.items():
                start = time.perf_counter()
                run(*inputs)
                seconds[name] = time.perf_counter() - start
            if turn:  # the first warms up
                base = next(iter(seconds.values()))
                for name, one in seconds.items():
                    found[name].append(one / base)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["fashion-resnet", "fashion-vit"])
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=15)
    recordable(parser)
    args = parser.parse_args()
    rows: list[list[Cell]] = []
    missed: list[str] = []
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(profile_words.machine_text(this_machine(torch.device("cpu"))))
    for name in args.models:
        workload = load_workload(name)
        plan = SparsityPlan.read(args.plan) if args.plan else SparsityPlan()
        samples = min(args.samples, len(workload.evaluation))
        scale = workload.metric.scale
        with tempfile.TemporaryDirectory() as place, Measurement(workload, None, samples, threads=1) as measurement:
            measurement.prepare(plan)
            base = pruned_copy(workload.model, measurement.maker.cut_tensors(plan)).eval()
            few = tuple(tensor[:2] for tensor in measurement.inputs(0))
            made: dict[str, Way] = {}
            print(f"\n{workload.name}, batch {args.batch}, n = {samples:,}")
            for way, make in WAYS.items():
                try:
                    made[way] = make(copy.deepcopy(base), Path(place), few, workload.calibration)
                except (SecateurError, ImportError) as error:
                    print(f"  {way}: {error}")
                    missed.append(f"{workload.name}, {way}: {str(error).rstrip('.')}.")
            timed = workload.evaluation.first(args.batch).inputs
            found = ratios({way: run for way, (run, _) in made.items()}, timed, args.rounds)
            dense_bytes = len(save(unique_state(workload.model)))
            for way, (run, n_bytes) in made.items():
                outcome = measured_model(measurement, run).outcome
                time_text = median_interval(found[way])
                told = f"{time_text.value:.2f} [{time_text.low:.2f}, {time_text.high:.2f}]" if time_text else "–"
                metric = numbers.metric_with_interval(scale, outcome.metric) if outcome.metric else outcome.reason
                drop = numbers.drop_with_interval(scale, outcome.drop) if outcome.drop else ""
                rows.append([
                    workload.name, way, n_bytes, n_bytes / dense_bytes, interval(time_text),
                    interval(outcome.metric, scale.factor), interval(outcome.drop, scale.factor),
                ])  # fmt: skip
                print(
                    f"  {way:27} {n_bytes:12,} B ({n_bytes / dense_bytes:6.1%})  time {told}  {metric}  drop {drop}",
                    flush=True,
                )
    columns = (
        Column("model"), Column("way"), Column("bytes", "", ",d"), Column("of dense", "", ".1%"),
        Column("time, of PyTorch's", "", ".2f"), Column("metric", "", ".4g"), Column("drop", "", "+.3g"),
    )  # fmt: skip
    write_record(
        args, "Ways to int8", "Which int8 is small, which is fast, and what does it cost?",
        [Table(columns, rows)],
        f"Seconds of a batch of {args.batch} over those of the float model in PyTorch, one thread, all taking turns: "
        "below 1 is faster; metrics of a fraction in percent, paired drops from the dense model in points.",
        list(dict.fromkeys(missed)),
    )  # fmt: skip


if __name__ == "__main__":
    main()
