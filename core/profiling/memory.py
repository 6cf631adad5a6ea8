"""Bytes that a model holds: on disk, and in memory during a forward pass."""

import gc
import inspect
import sys
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from core.engines.state import unique_state

CHUNK = 1 << 24  # bytes compressed between two looks whether somebody asked to stop


def bytes_on_disk(model: nn.Module) -> int:
    """Bytes of the safetensors file that an export of the model writes."""
    return len(_file_of(model))


def bytes_compressed(model: nn.Module, check: Callable[[], None] = lambda: None) -> int:
    """Of these bytes, what zlib at level 6 leaves."""
    data = memoryview(_file_of(model))
    packer, compressed = zlib.compressobj(6), 0
    for start in range(0, len(data), CHUNK):
        check()
        compressed += len(packer.compress(data[start : start + CHUNK]))
    return compressed + len(packer.flush())


def _file_of(model: nn.Module) -> bytes:
    return save(unique_state(model), metadata={"format": "pt"})


def peak_bytes(model: nn.Module, inputs: Sequence[Tensor], device: torch.device) -> int:
    """Bytes held at once, at most, during one forward pass.

    On the CPU every storage counts that a tensor of the pass lives in, from the operation that makes it until its last
    tensor is gone, and with them the parameters, buffers and inputs: the same number each time. Not counted is what a
    kernel takes and gives back inside one operation (an unfolded image, a reordered weight), what the allocator rounds
    up, and Python itself; operations that torch fuses into one for a transformer layer are opened up. On CUDA the
    allocator says what the pass took beyond these, kernels' scratch memory included.

    Args:
        model: in evaluation mode, on `device`.
        inputs: of one batch, on `device`.
    """
    live = _LiveStorages()
    for tensor in (*model.parameters(), *model.buffers(), *inputs):
        live.add(tensor)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)  # other models lie there too
        torch.cuda.reset_peak_memory_stats(device)
        with torch.no_grad():
            model(*inputs)
        torch.cuda.synchronize(device)
        return live.peak + int(torch.cuda.max_memory_allocated(device)) - before
    with torch.no_grad(), unfused(), live:
        model(*inputs)
    return live.peak


@dataclass(frozen=True)
class Storage:
    """Memory that tensors of a pass live in.

    Attributes:
        shape: of the tensor that was seen in it first; a single number where that is not all of it.
        each: bytes of a number.
        born: how many storages were there before; dies: how many had been by the time it was freed.
        by: what made it: an operation, or the name of a parameter, buffer or input.
    """

    shape: tuple[int, ...]
    each: int
    born: int
    dies: int
    by: str


def storages(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[Storage, ...]:
    """Everything that `peak_bytes` counts on the CPU, in the order in which it comes.

    Args:
        model: in evaluation mode, on the CPU.
        inputs: of one batch.
    """
    live = _LiveStorages()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        live.add(tensor, name)
    for i, tensor in enumerate(inputs):
        live.add(tensor, f"input {i}")
    was_on = gc.isenabled()
    gc.disable()  # when it comes around is chance, and what it frees would die here or there
    try:
        with torch.no_grad(), unfused(), live:
            model(*inputs)
        return live.history()
    finally:
        if was_on:
            gc.enable()


@contextmanager
def unfused() -> Iterator[None]:
    """Inside the block transformer layers run one operation at a time; nobody can see into torch's fused path."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def without_compiler(mode: Any) -> None:
    """Torch keeps its compiler from looking into a mode by importing it first: a second and 75 MiB. Where nothing has
    imported it, nothing is compiled, and the mode's own method does."""
    plain = inspect.unwrap(type(mode).__torch_dispatch__)
    if "torch._dynamo" not in sys.modules:
        mode.__torch_dispatch__ = MethodType(plain, mode)


class _LiveStorages(TorchDispatchMode):
    """Adds a storage's bytes when it is first seen, and takes them off when it is freed."""

    def __init__(self) -> None:
        super().__init__()
        without_compiler(self)
        self.peak = self._now = 0
        self._known: dict[int, tuple[weakref.ref[Any], int, int]] = {}
        self._born: list[tuple[tuple[int, ...], int, str]] = []
        self._dies: dict[int, int] = {}

    def add(self, tensor: Tensor, by: str = "") -> None:
        """Count the storage of a tensor, unless it is counted already."""
        if tensor.layout != torch.strided:
            return
        storage = tensor.untyped_storage()
        key = id(storage)
        if key not in self._known:
            n_bytes, each = storage.nbytes(), tensor.element_size()
            number = len(self._born)
            self._known[key] = (weakref.ref(storage, partial(self._freed, key)), n_bytes, number)
            is_whole = tensor.numel() * each == n_bytes
            self._born.append((tuple(tensor.shape) if is_whole else (n_bytes // each,), each, by))
            self._now += n_bytes
            self.peak = max(self.peak, self._now)

    def history(self) -> tuple[Storage, ...]:
        """All that was counted, in order; what is there still dies at the end."""
        end = len(self._born)
        return tuple(
            Storage(shape, each, i, self._dies.get(i, end), by) for i, (shape, each, by) in enumerate(self._born)
        )

    def _freed(self, key: int, _: object) -> None:
        _, n_bytes, number = self._known.pop(key)
        self._dies[number] = len(self._born)
        self._now -= n_bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self.add(value, str(func))
        return out
