"""Vela, Arm's compiler for Ethos-U, in its own process; what it compiles is a full int8 file of LiteRT's quantizer.

It tells how many cycles the accelerator would take by its own model of it; nothing here runs what it wrote.
"""

import csv
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SYSTEM, MEMORY = "Ethos_U55_High_End_Embedded", "Shared_Sram"  # Vela's own defaults: 500 MHz, weights in flash


def write(job: dict[str, Any], inputs: Sequence[Any]) -> dict[str, Any]:
    """A compiled `.tflite`, the int8 file that it was made of, and what Vela estimates of it."""
    from ai_edge_quantizer import quantizer, recipe

    plain = Path(_beside("litert").write({**job, "precision": "float32"}, inputs)[0])
    work = quantizer.Quantizer(str(plain))
    work.load_quantization_recipe(recipe.static_wi8_ai8())
    types = _signature(str(plain))
    given = [
        {name: _numbers(path).astype(types[name]) for name, path in zip(types, batch, strict=True)}
        for batch in job["calibration"]
    ]
    short = plain.with_name("int8.tflite")
    work.quantize(work.calibrate({"serving_default": given})).export_model(str(short), overwrite=True)
    folder = Path(job["folder"], "vela")
    words = ["--accelerator-config", job["accelerator"], "--system-config", SYSTEM, "--memory-mode", MEMORY]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "ethosu.vela", str(short), "--config", "Arm/vela.ini", *words,
         "--output-dir", str(folder)],
        capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    said = (done.stdout + done.stderr).strip().splitlines()
    file = folder / "int8_vela.tflite"
    if done.returncode or not file.exists():
        raise RuntimeError(f"Vela ended with code {done.returncode}: {said[-1] if said else 'no word'}")
    counted = [re.search(rf"{kind} operators = (\d+)", done.stdout) for kind in ("CPU", "NPU")]
    on_cpu, on_npu = (int(found[1]) if found else 0 for found in counted)
    if not on_npu:
        raise RuntimeError("none of its operators runs on the accelerator; all would stay on the CPU")
    with next(folder.glob("*_summary_*.csv")).open() as opened:
        row = next(csv.DictReader(opened))
    return {
        "files": [str(file)],
        "stand_in": str(short),
        "seconds": float(row["inference_time"]),
        "cycles": int(float(row["cycles_total"])),
        "hertz": float(row["core_clock"]),
        "operators": [on_npu, on_cpu],
    }


def load(file: str, inputs: Sequence[Any], threads: int) -> Callable[[], Sequence[Any]]:
    """A pass of the int8 file before Vela, by LiteRT on this CPU; numbers are rounded going in, as the file says."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=threads)
    interpreter.allocate_tensors()
    signature = next(iter(interpreter.get_signature_list()))
    run = interpreter.get_signature_runner(signature)
    taken, given = run.get_input_details(), run.get_output_details()
    names = sorted(taken, key=_number)
    feeds = {name: _rounded(x, taken[name]) for name, x in zip(names, inputs, strict=True)}

    def forward() -> list[Any]:
        found = run(**feeds)
        return [_multiplied(found[name], given[name]) for name in sorted(found, key=_number)]

    return forward


def _signature(file: str) -> dict[str, Any]:
    """Inputs by name, in the model's order, with the type of their numbers: the converter makes int32 of int64."""
    from ai_edge_litert.interpreter import Interpreter

    taken = Interpreter(file).get_signature_runner("serving_default").get_input_details()
    return {name: taken[name]["dtype"] for name in sorted(taken, key=_number)}


def _number(name: str) -> int:
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 0


def _rounded(x: Any, told: dict[str, Any]) -> Any:
    scale, zero = told["quantization"]
    if not scale:
        return x.astype(told["dtype"])
    ends = np.iinfo(told["dtype"])
    return np.clip(np.round(x / scale) + zero, ends.min, ends.max).astype(told["dtype"])


def _multiplied(x: Any, told: dict[str, Any]) -> Any:
    scale, zero = told["quantization"]
    return (x.astype(np.float32) - zero) * np.float32(scale) if scale else x


def _numbers(path: str) -> Any:
    with open(path, "rb") as file:
        return np.lib.format.read_array(file)


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
