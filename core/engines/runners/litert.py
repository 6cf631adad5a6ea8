"""LiteRT with XNNPACK on the CPU, in its own process; it writes from an exported program."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def write(job: dict[str, Any], inputs: Sequence[Any]) -> list[str]:
    """A `.tflite` file; int8 weights per channel, activations quantized as they come."""
    import litert_torch
    import torch

    program = torch.export.load(job["source"])
    made = litert_torch.convert(program.module(), tuple(torch.from_numpy(x) for x in inputs))
    file = Path(job["folder"], "model.tflite")
    made.export(str(file))
    if job["precision"] == "float32":
        return [str(file)]
    from ai_edge_quantizer import quantizer, recipe

    work = quantizer.Quantizer(str(file))
    work.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    short = file.with_name("int8.tflite")
    work.quantize().export_model(str(short), overwrite=True)
    return [str(short)]


def load(file: str, inputs: Sequence[Any], threads: int) -> Callable[[], Sequence[Any]]:
    """A pass of the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=threads)
    interpreter.allocate_tensors()
    taken = sorted(interpreter.get_input_details(), key=lambda one: _number(one["name"], "args"))
    assert len(taken) == len(inputs), f"the file takes {len(taken)} inputs in place of {len(inputs)}"
    for one, x in zip(taken, inputs, strict=True):
        interpreter.set_tensor(one["index"], x.astype(one["dtype"]))  # the converter makes int32 of int64
    outputs = [
        one["index"] for one in sorted(interpreter.get_output_details(), key=lambda one: _number(one["name"], "output"))
    ]

    def forward() -> list[Any]:
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return forward


def _number(name: str, word: str) -> int:
    """Of `serving_default_args_1:0` 1: the converter names inputs and outputs by their order."""
    found = re.search(rf"{word}_(\d+)", name)
    return int(found[1]) if found else 0
