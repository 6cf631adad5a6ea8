"""What can run a model: torch as it is, torch.compile, ONNX Runtime. Believed only where outputs are the same."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from core.pruning.equality import distance

TOLERANCE = 1e-4  # between an engine's outputs and eager ones, in parts of the largest of these

Forward = Callable[[], Any]  # one forward pass on fixed inputs -> outputs
Build = Callable[[int], Forward]  # number of threads -> forward pass
Engine = Callable[[nn.Module, tuple[Tensor, ...], Path], Build]  # model, inputs of one batch, folder for its files


class EngineUnavailable(Exception):  # noqa: N818 - not an error: it is told
    """An engine cannot run this model here; the message says why."""


def eager(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """Torch as it is. The number of threads is the process's, which the caller sets."""

    def build(threads: int) -> Forward:
        return lambda: model(*inputs)

    return build


def compiled(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """`torch.compile` for these shapes; on the CPU it needs a C++ compiler."""

    def build(threads: int) -> Forward:
        # threads are written into the generated code; told here, the number is part of the key of its cache
        fast = torch.compile(model, dynamic=False, options={"cpp.threads": threads})
        return lambda: fast(*inputs)

    return build


def onnx(model: nn.Module, inputs: tuple[Tensor, ...], folder: Path) -> Build:
    """ONNX Runtime on the CPU, with the model as `torch.onnx.export` translates it for these shapes."""
    if any(tensor.device.type != "cpu" for tensor in inputs):
        raise EngineUnavailable("ONNX Runtime is timed on the CPU only; choose device cpu for it")
    try:
        import onnxruntime  # noqa: F401 - is it there?
    except ImportError as error:
        raise EngineUnavailable(f"onnxruntime is not installed ({error}); pip install onnxruntime") from None
    program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    assert program is not None
    file = folder / "model.onnx"
    program.save(file, external_data=True)  # weights beside it: in one file 2 GB are the most

    return lambda threads: session(file, inputs, threads)


def session(file: Path, inputs: tuple[Tensor, ...], threads: int) -> Forward:
    """A forward pass of an ONNX file in ONNX Runtime on the CPU, set up to be timed beside others.

    Args:
        file: to read; weights may lie beside it.
        inputs: of one batch, on the CPU.
        threads: within one operation.

    Raises:
        EngineUnavailable: the graph takes another number of inputs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # a thread that waits actively would slow the model whose turn is next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    found = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in found.get_inputs()]
    if len(names) != len(inputs):
        raise EngineUnavailable(f"the exported model has {len(names)} inputs in place of {len(inputs)}")
    feeds = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    return lambda: found.run(None, feeds)


RENEWED = ("eager",)  # of which a model is copied anew for every turn; the others translate it, which takes seconds
ENGINES: Mapping[str, Engine] = MappingProxyType({"eager": eager, "compile": compiled, "onnx": onnx})


@contextmanager
def forgotten_after(engine: str) -> Iterator[None]:
    """What `torch.compile` made inside the block is dropped after it.

    It keeps few versions of one piece of code, and would run the next ones eagerly without a word.
    """
    try:
        yield
    finally:
        if engine == "compile":
            with quiet():
                torch.compiler.reset()


def trusted(forward: Forward, expected: Sequence[Tensor]) -> Forward:
    """The forward pass, after one of which the outputs were compared with those of torch.

    Raises:
        EngineUnavailable: they differ by more than `TOLERANCE`, in number or in shape.
    """
    found = tensors_of(forward())
    if [tuple(tensor.shape) for tensor in found] != [tuple(tensor.shape) for tensor in expected]:
        raise EngineUnavailable("its outputs have other shapes than those of torch")
    apart = distance(list(expected), found)
    if apart is None or not apart <= TOLERANCE:  # a NaN is not either
        raise EngineUnavailable(f"its outputs differ from those of torch by {apart or 0:.2g} of the largest of these")
    return forward


def tensors_of(outputs: Any) -> list[Tensor]:
    """Every tensor or array in a model's outputs, whatever holds them, as double precision on the CPU."""
    leaves = [torch.as_tensor(leaf) for leaf in tree_leaves(outputs) if hasattr(leaf, "shape")]
    return [leaf.detach().cpu().double() for leaf in leaves]


def reason_of(error: BaseException) -> str:
    """One line that says why: the first of the error at the bottom, since exporters wrap theirs several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else "no message"
    return text if isinstance(error, EngineUnavailable) else f"{type(error).__name__}: {text[:200]}"


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings and notes of exporters and compilers are not for the user: what counts is whether it works."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch._dynamo", "torch._inductor", "onnxscript")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
