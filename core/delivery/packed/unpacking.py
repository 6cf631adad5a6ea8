"""Reading a packed weights file, of which nothing is believed before it is checked. The layout: `packed_layout`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.delivery.packed.codings import CODINGS, Bytes, joined, mask_bytes, plane_kind, positions_of
from core.delivery.packed.layout import DTYPES, FORMAT, VERSION, Packed, seal
from core.errors import SecateurError
from core.quantization.weights import QuantizedTensor


def read_packed(path: Path) -> dict[str, Packed]:
    """The tensors of a packed file, bit for bit as they were written, on the CPU.

    Raises:
        SecateurError: not a packed file, one of a newer version, or damaged in any byte of its contents.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            contents = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise SecateurError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise _damaged(path, str(error)) from None
    if metadata.get("format") != FORMAT:
        raise SecateurError(f"{path} is not a packed weights file; `secateur quantize … --out FILE` writes one")
    if metadata.get("version") != VERSION:
        raise SecateurError(
            f"{path} is of version {metadata.get('version')!r}, this Secateur reads {VERSION}; upgrade secateur"
        )
    if set(contents) != {"index", "frames"} or any(
        tensor.dtype != torch.uint8 or tensor.dim() != 1 for tensor in contents.values()
    ):
        raise _damaged(path, "it holds other tensors than an index and frames of bytes")
    if metadata.get("sha256") != seal(contents):
        raise _damaged(path, "its contents have another hash")
    try:
        return _unpacked(contents["index"].numpy().tobytes(), contents["frames"].numpy())
    except (
        KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError,
        RecursionError, zstandard.ZstdError,
    ) as error:  # fmt: skip
        raise _damaged(path, f"{type(error).__name__}: {error}") from None


def dequantized(tensors: Mapping[str, Packed]) -> dict[str, Tensor]:
    """Tensors as `load_state_dict` takes them: what was quantized is multiplied out."""
    return {name: one.dequantized() if isinstance(one, QuantizedTensor) else one for name, one in tensors.items()}


def _unpacked(index: bytes, frames: Bytes) -> dict[str, Packed]:
    document = json.loads(zstandard.ZstdDecompressor().decompress(index))
    source = _Frames(document["frames"], frames)
    arrays = [_array(line, source) for line in document["arrays"]]
    source.check_all_read()
    found: dict[str, Packed] = {}
    for name, at in document["tensors"].items():
        if isinstance(at, int):
            found[name] = arrays[at]
        else:
            found[name] = QuantizedTensor(
                arrays[at["codes"]], arrays[at["scales"]], int(at["axis"]), DTYPES[at["dtype"]], int(at["bits"])
            )
    return found


def _array(line: Mapping[str, Any], source: "_Frames") -> Tensor:
    dtype, shape, coding, kept = DTYPES[line["dtype"]], line["shape"], line["coding"], line["kept"]
    n, width = math.prod(shape), dtype.itemsize
    if not all(isinstance(number, int) and number >= 0 for number in (*shape, kept, line["positions"])):
        raise ValueError("a negative size")
    if coding not in CODINGS:
        raise ValueError(f"no coding {coding!r}")
    if kept > n:
        raise ValueError(f"{kept} values for {n} entries")
    stream = None
    if coding == "bitmask":
        stream = source.take("mask", mask_bytes(n))
    elif coding == "gaps":
        stream = source.take("gaps", line["positions"])
    positions = positions_of(coding, n, kept, stream)
    planes = [source.take(plane_kind(width, k), kept) for k in range(width)]
    flat = torch.from_numpy(joined(n, positions, planes).reshape(-1))
    if not n:
        return torch.empty(shape, dtype=dtype)
    if dtype.is_complex:
        real = {torch.complex64: torch.float32, torch.complex128: torch.float64}[dtype]
        return torch.view_as_complex(flat.view(real).view(-1, 2)).reshape(shape)
    return flat.view(dtype).reshape(shape)


class _Frames:
    """The frames of a file, opened one after the other as their kind is asked for."""

    def __init__(self, lines: Sequence[Any], data: Bytes) -> None:
        self._waiting: dict[str, list[tuple[Bytes, int, str]]] = {}
        self._open: dict[str, Bytes] = {}
        at = 0
        for kind, n_bytes, packed, method in lines:
            if packed < 0 or at + packed > len(data):
                raise ValueError("frames that reach beyond the file")
            self._waiting.setdefault(kind, []).append((data[at : at + packed], n_bytes, method))
            at += packed
        if at != len(data):
            raise ValueError("bytes that belong to no frame")

    def take(self, kind: str, n: int) -> Bytes:
        """The next n bytes of a kind."""
        if n == 0:
            return np.empty(0, dtype=np.uint8)
        left = self._open.get(kind, np.empty(0, dtype=np.uint8))
        if not len(left):
            if not self._waiting.get(kind):
                raise ValueError(f"no more {kind}")
            left = self._opened(*self._waiting[kind].pop(0))
        if n > len(left):
            raise ValueError(f"{n} bytes of {kind} wanted, {len(left)} left")
        self._open[kind] = left[n:]
        return left[:n]

    def check_all_read(self) -> None:
        """Whether nothing was left over: then the index is not that of these frames."""
        if any(self._waiting.values()) or any(len(left) for left in self._open.values()):
            raise ValueError("bytes that belong to no array")

    def _opened(self, packed: Bytes, n_bytes: int, method: str) -> Bytes:
        data = packed.tobytes()
        if method == "zstd":
            if zstandard.frame_content_size(data) != n_bytes:  # before it takes memory
                raise ValueError("a frame of another length")
            data = zstandard.ZstdDecompressor().decompress(data)
        elif method != "raw":
            raise ValueError(f"no method {method!r}")
        if len(data) != n_bytes:
            raise ValueError("a frame of another length")
        return np.frombuffer(data, dtype=np.uint8)


def _damaged(path: Path, what: str) -> SecateurError:
    return SecateurError(f"{path} is damaged or no packed weights file ({what}); write it again")
