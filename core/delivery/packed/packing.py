"""Writing a packed weights file, each array by the coding that makes it smallest. The layout: `packed_layout`."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from core.delivery.packed.codings import CODINGS, Bytes, Stream, coded
from core.delivery.packed.layout import DTYPES, FORMAT, VERSION, Packed, seal
from core.drafted import as_if_made_here, draft_beside
from core.errors import SecateurError
from core.quantization.weights import QuantizedTensor
from core.workload.examples import tensor_bytes

QUICK, HARD = 3, 19  # levels of zstd: codings are compared by the first; on many int8 weights it is the better one
FRAME_BYTES = 1 << 20  # small streams share a frame up to this: each frame has a table of its own to pay for


@dataclass(frozen=True)
class PackedFile:
    """What was written.

    Attributes:
        n_bytes: of the file.
        codings: by tensor, the coding that its values got: the one that gave the fewest bytes.
    """

    n_bytes: int
    codings: Mapping[str, str]


def write_packed(tensors: Mapping[str, Packed], path: Path) -> PackedFile:
    """Write tensors packed, each by the coding that makes it smallest. What is there already is replaced.

    Args:
        tensors: by name, any device; not modified. Quantized ones are kept as codes and scales.
        path: of the file, by custom ending in `.safetensors`.

    Raises:
        SecateurError: a tensor of a type that no file can hold, or the file cannot be written.
    """
    arrays: list[dict[str, Any]] = []
    streams: list[Stream] = []
    names: dict[str, Any] = {}

    def add(name: str, tensor: Tensor) -> int:
        array, found = _smallest(name, tensor)
        arrays.append(array)
        streams.extend(found)
        return len(arrays) - 1

    for name, tensor in tensors.items():
        if isinstance(tensor, QuantizedTensor):
            names[name] = {
                "codes": add(name, tensor.codes), "scales": add(name, tensor.scales), "axis": tensor.axis,
                "dtype": _dtype_name(name, tensor.dtype), "bits": tensor.bits,
            }  # fmt: skip
        else:
            names[name] = add(name, tensor)
    frames, packed = _frames(streams)
    index = _smallest_frame(json.dumps({"arrays": arrays, "frames": frames, "tensors": names}).encode())
    body = np.frombuffer(b"".join(packed), dtype=np.uint8).copy()
    contents = {
        "index": torch.from_numpy(np.frombuffer(index, dtype=np.uint8).copy()),
        "frames": torch.from_numpy(body),
    }
    metadata = {"format": FORMAT, "version": VERSION, "sha256": seal(contents)}
    _save(contents, metadata, path)
    codings = {name: arrays[at if isinstance(at, int) else at["codes"]]["coding"] for name, at in names.items()}
    return PackedFile(path.stat().st_size, codings)


def zstd_bytes(data: bytes) -> int:
    """Length of bytes after zstd alone, as hard as the packed file tries: what packing is to be compared with."""
    return len(_smallest_frame(data))


def _smallest(name: str, tensor: Tensor) -> tuple[dict[str, Any], tuple[Stream, ...]]:
    """The array's line in the index and its streams, by the coding that compresses to the fewest bytes."""
    dtype = _dtype_name(name, tensor.dtype)
    width = tensor.element_size()
    entries = np.frombuffer(_bytes_of(tensor), dtype=np.uint8).reshape(-1, width)
    tried = {coding: coded(entries, coding) for coding in CODINGS}
    # ties go to the first: it is the simplest
    coding = min(tried, key=lambda one: sum(_packed_size(stream.data) for stream in tried[one].all))
    found = tried[coding]
    array = {
        "dtype": dtype, "shape": list(tensor.shape), "coding": coding, "kept": len(found.values[0].data),
        "positions": 0 if found.positions is None else len(found.positions.data),
    }  # fmt: skip
    return array, found.all


def _bytes_of(tensor: Tensor) -> bytes:
    if tensor.is_complex():  # which torch cannot view as bytes
        tensor = torch.view_as_real(tensor.detach().resolve_conj())
    return bytes(tensor_bytes(tensor.resolve_neg()))


def _dtype_name(name: str, dtype: torch.dtype) -> str:
    found = str(dtype).removeprefix("torch.")
    if found not in DTYPES:
        raise SecateurError(f"{name} holds {dtype}, which a packed file cannot; convert it first")
    return found


def _packed_size(data: Bytes) -> int:
    return min(len(data), len(_compressed(data.tobytes()))) if len(data) else 0


def _smallest_frame(data: bytes) -> bytes:
    return min((_compressed(data, level) for level in (QUICK, HARD)), key=len)


def _compressed(data: bytes, level: int = QUICK) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_checksum=False).compress(data)


def _frames(streams: Sequence[Stream]) -> tuple[list[list[Any]], list[bytes]]:
    """Lines of the index, and the frames: streams of a kind together, in order."""
    by_kind: dict[str, list[Bytes]] = {}
    for stream in streams:
        by_kind.setdefault(stream.kind, []).append(stream.data)
    lines: list[list[Any]] = []
    packed: list[bytes] = []
    for kind, parts in by_kind.items():
        for together in _portions(parts):
            small = _smallest_frame(together)
            method = "zstd" if len(small) < len(together) else "raw"
            packed.append(small if method == "zstd" else together)
            lines.append([kind, len(together), len(packed[-1]), method])
    return lines, packed


def _portions(parts: Sequence[Bytes]) -> Iterator[bytes]:
    held: list[Bytes] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= FRAME_BYTES:
            yield b"".join(one.tobytes() for one in held)
            held = []
    if any(map(len, held)):
        yield b"".join(one.tobytes() for one in held)


def _save(contents: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Beside the goal first, and moved there when whole: nobody ever reads half a file."""
    draft: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = draft_beside(path)
        save_file(contents, draft, metadata=metadata)
        as_if_made_here(draft)
        os.replace(draft, path)
    except (OSError, SafetensorError) as error:  # safetensors raises its own type for a full disk
        raise SecateurError(f"cannot write {path}: {error}; free some space or choose another place") from None
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
