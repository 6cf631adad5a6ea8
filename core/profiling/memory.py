"""Bytes that a model holds: on disk, and in memory during a forward pass."""

import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
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


@contextmanager
def unfused() -> Iterator[None]:
    """Inside the block transformer layers run one operation at a time; nobody can see into torch's fused path."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _LiveStorages(TorchDispatchMode):
    """Adds a storage's bytes when it is first seen, and takes them off when it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: dict[int, tuple[weakref.ref[Any], int]] = {}

    def add(self, tensor: Tensor) -> None:
        """Count the storage of a tensor, unless it is counted already."""
        if tensor.layout != torch.strided:
            return
        storage = tensor.untyped_storage()
        key = id(storage)
        if key not in self._known:
            self._known[key] = (weakref.ref(storage, partial(self._freed, key)), storage.nbytes())
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)

    def _freed(self, key: int, _: object) -> None:
        self._now -= self._known.pop(key)[1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self.add(value)
        return out
