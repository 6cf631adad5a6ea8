"""Data for an exported program: one safetensors file, its inputs by name, `labels` beside them. No torch."""

import json
from collections.abc import Mapping
from pathlib import Path

from core.errors import SecateurError
from core.workload.programs.foreign import Program, read

Shapes = Mapping[str, tuple[int, ...]]
LABELS = "labels"
OTHERS = ("calibration", "training", "holdout")  # data beside those that are measured on
DTYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "F16": "float16",
    "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip
WHOLE = ("uint8", "int8", "int16", "int32", "int64")


def check_file(path: Path, of: str) -> None:
    """Say what data of a program are, of a file that cannot be it.

    Raises:
        SecateurError: it is a folder or another kind of file.
    """
    if not path.is_file() or path.suffix != ".safetensors":
        raise SecateurError(
            f"{of} of pt2: expects one .safetensors file that holds the inputs by their names and 'labels', got "
            f"{path.name}; write it: safetensors.torch.save_file({{'x': inputs, 'labels': labels}}, 'test.safetensors')"
        )


def program_lines(place: Path, options: Mapping[str, str], shapes: Mapping[str, Shapes]) -> tuple[str, ...]:
    """What is inferred of a program and its data, for people.

    Args:
        place: the program's file.
        options: data, others of `OTHERS`, metric.
        shapes: by option, of the tensors in each file.

    Raises:
        SecateurError: the program cannot be read safely, or the data do not fit it.
    """
    program = read(place)
    keys = {role: input_keys(program, Path(options[role]), found) for role, found in shapes.items()}
    metric = metric_for(program, Path(options["data"]), shapes["data"], options.get("metric"))
    n = shapes["data"][keys["data"][0]][0]
    fed = ", ".join(f"{name} {dtype} {_shown(shape)} = {key}" for name, dtype, shape, key in
                    zip(program.names, program.dtypes, program.shapes, keys["data"], strict=True))  # fmt: skip
    return (
        f"model: the program {place.name}, {program.n_operations:,} operations on {program.n_parameters:,} parameters; "
        "sample inputs, guards and lines of source in it are not read",
        f"data: {n:,} examples of {Path(options['data']).name}",
        f"inputs: {fed}",
        f"metric: {metric}",
    )


def dtypes_in(path: Path) -> dict[str, str]:
    """By name, as torch calls them, of a file whose header was checked."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {
        name: DTYPES.get(entry["dtype"], entry["dtype"]) for name, entry in header.items() if name != "__metadata__"
    }


def input_keys(program: Program, path: Path, shapes: Shapes) -> tuple[str, ...]:
    """Names in the file of what the program takes, in its order: its own, `input_0`, `input_1`, …, or of one any.

    Raises:
        SecateurError: one is missing or left over, has another type or size, or the numbers of examples differ.
    """
    numbered = tuple(f"input_{i}" for i in range(len(program.names)))
    given = sorted(set(shapes) - {LABELS})
    keys = next((names for names in (program.names, numbered) if set(names) == set(given)), None)
    if len(given) == len(program.names) == 1:  # whatever it is called
        keys = tuple(given)
    takes = ", ".join(f"{name} {dtype} {_shown(shape)}" for name, dtype, shape in
                      zip(program.names, program.dtypes, program.shapes, strict=True))  # fmt: skip
    if keys is None:
        raise SecateurError(
            f"{path.name} holds {', '.join(given) or 'no inputs'}, and the program takes {takes}; name the tensors so, "
            f"or {', '.join(numbered)}"
        )
    dtypes = dtypes_in(path)
    for key, name, dtype, shape in zip(keys, program.names, program.dtypes, program.shapes, strict=True):
        if dtypes[key] != dtype:
            raise SecateurError(
                f"{key} of {path.name} is {dtypes[key]}, and the program takes {name} as {dtype}; save it as "
                f".to(torch.{dtype})"
            )
        own = shapes[key]
        fits = len(own) == 1 + len(shape) and all(b in (None, a) for a, b in zip(own[1:], shape, strict=True))
        if not fits:
            raise SecateurError(
                f"{key} of {path.name} is {list(own)}, and the program takes {name} as {_shown(shape)}; save it so"
            )
    lengths = {name: shape[0] if shape else None for name, shape in shapes.items()}
    if len(set(lengths.values())) != 1:
        counted = ", ".join(f"{name} {n}" for name, n in sorted(lengths.items()))
        raise SecateurError(f"the tensors of {path.name} hold different numbers of examples ({counted}); the first "
                            "dimension of each counts them")  # fmt: skip
    return keys


def metric_for(program: Program, path: Path, shapes: Shapes, given: str | None) -> str:
    """The metric as given, or accuracy where outputs and labels can be nothing else.

    Raises:
        SecateurError: they can.
    """
    if given is not None:
        return given
    labels = shapes.get(LABELS)
    if labels is None:
        raise SecateurError(f"{path.name} holds no 'labels', and without them --metric must be one that needs none: "
                            "agreement, kl_from_dense or cosine_to_dense")  # fmt: skip
    kind = dtypes_in(path)[LABELS]
    if len(labels) == 1 and kind in WHOLE and len(program.output) == 1:
        return "accuracy"
    outputs = _shown(program.output)
    raise SecateurError(f"outputs {outputs} and labels {list(labels)} of {kind} say no metric; name one: --metric "
                        "cross_entropy, f1, squared_error, perplexity, …")  # fmt: skip


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"(batch{''.join(f', {size if size is not None else chr(42)}' for size in shape)})"
