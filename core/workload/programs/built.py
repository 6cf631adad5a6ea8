"""`pt2:./model.pt2 --data test.safetensors`: an exported program as a workload."""

import io
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.errors import SecateurError, first_line
from core.workload.examples import Examples
from core.workload.metrics.by_name import metric_named
from core.workload.outputs import tensors_of
from core.workload.programs.data import OTHERS, input_keys, metric_for
from core.workload.programs.foreign import AGAIN, Program, read
from core.workload.programs.turned_back import Turning
from core.workload.workload import Workload

BATCH = 64


def build(place: str, options: Mapping[str, str], shapes: Mapping[str, Mapping[str, tuple[int, ...]]]) -> Workload:
    """The program as a model of layers, and its data.

    Args:
        place: the file.
        options: of the reference: data, others of `OTHERS`, metric.
        shapes: by option, of the tensors in each file of data.

    Raises:
        SecateurError: the program cannot be read safely or made a model again, or the data do not fit it.
    """
    path = Path(place)
    program = read(path)
    found = _loaded(path, program)
    model = Turning(found, program.places).model()
    data = {role: _examples(program, options[role], shapes[role]) for role in ("data", *OTHERS) if role in options}
    size = min(BATCH, program.largest_batch or BATCH)
    _compare(path, found, model, data["data"], size)
    metric = metric_for(program, Path(options["data"]), shapes["data"], options.get("metric"))
    notes = (
        f"model: the program {path.name}, {program.n_operations:,} operations; the same outputs, bit for bit",
        f"data: {len(data['data']):,} examples of {Path(options['data']).name}",
        f"metric: {metric}",
    )
    others: dict[str, Any] = {role: data[role] for role in OTHERS if role in data}
    return Workload(path.stem, model, data["data"], metric_named(metric), batch_size=size, notes=notes, **others)


def _loaded(path: Path, program: Program) -> torch.export.ExportedProgram:
    heard: list[BaseException] = []

    def quiet(record: logging.LogRecord) -> bool:
        """Torch logs why it cannot read a file, with a traceback, and raises something else."""
        heard.extend(error for error in (record.exc_info or ())[1:2] if isinstance(error, BaseException))
        return False

    log = logging.getLogger("torch.export")
    log.addFilter(quiet)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.load(io.BytesIO(program.content))
    except Exception as raised:  # what torch says of a file is of any kind
        error = heard[0] if heard else raised
        raise SecateurError(f"torch {torch.__version__} cannot load {path.name} ({type(error).__name__}: "
                            f"{first_line(error)[:160]}); {AGAIN}") from None  # fmt: skip
    finally:
        log.removeFilter(quiet)


def _examples(program: Program, file: str, shapes: Mapping[str, tuple[int, ...]]) -> Examples:
    keys = input_keys(program, Path(file), shapes)
    tensors: dict[str, Tensor] = load_file(file)
    return Examples(tuple(tensors[key] for key in keys), tensors.get("labels"))  # type: ignore[arg-type]


def _compare(
    path: Path, found: torch.export.ExportedProgram, model: torch.nn.Module, data: Examples, size: int
) -> None:
    """Hold the model's outputs against the program's on the first batch of data and on the last."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = found.module(check_guards=False)
    except Exception as error:
        raise SecateurError(f"{path.name} is no program that runs ({type(error).__name__}: {first_line(error)[:160]}); "
                            f"{AGAIN}") from None  # fmt: skip
    last = (len(data) - 1) // size * size
    for start in dict.fromkeys((0, last)):
        batch = tuple(x[start : start + size].clone() for x in data.inputs)
        try:
            with torch.inference_mode():
                right, got = tensors_of(theirs(*batch)), tensors_of(model(*batch))
        except Exception as error:
            raise SecateurError(
                f"{path.name} does not run on examples {start} to {start + len(batch[0]) - 1} ({type(error).__name__}: "
                f"{first_line(error)[:200]}); give data as it was exported for, or {AGAIN}"
            ) from None
        same = len(right) == len(got) and all(
            a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(right, got, strict=True)
        )
        if not same:
            raise SecateurError(
                f"made of layers, {path.name} gives other outputs than the program on examples {start} to "
                f"{start + len(batch[0]) - 1}; name the module that it was exported from, in a workload file"
            )
