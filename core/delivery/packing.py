"""A packed weights file: one safetensors file of compressed streams, smaller the more of the weights is zero.

Needed to read it: safetensors, zstd and this page. The file holds two tensors of bytes. `frames` is one compressed
frame after the other; `index` is a zstd frame of JSON with three entries:

`arrays`: a list of `{dtype, shape, coding, kept, positions}`. An array of n entries has `kept` of them written, each in
as many bytes as its dtype has; the others are zero. By coding they stand at: `every`, all of them; `bitmask`, one bit
per entry from the highest bit of each byte on; `gaps`, for each value the number of zeros before it in one byte, after
a byte 255 for every 255 zeros. `positions` is the length of that stream. Values come byte by byte: all their first
(lowest) bytes, then all second ones.

`frames`: a list of `[kind, bytes, packed, method]` in the order of the file: what streams it holds, their length
together, its length in the file, and `zstd` or `raw`. Streams of one kind (`mask`, `gaps`, `values k/width`) follow
each other in the order of the arrays, and none lies in two frames.

`tensors`: by name the number of an array; or, where it was quantized, `{codes, scales, axis, dtype, bits}`: the tensor
is `codes * scales` in the scales' dtype, each scale along `axis` for its slice, then converted to `dtype`.

The metadata's `sha256` is that of both tensors' bytes, the index first.
"""

import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zstandard
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from core.delivery.codings import CODINGS, Bytes, Stream, coded, joined, mask_bytes, plane_kind, positions_of
from core.errors import SecateurError
from core.quantization.weights import QuantizedTensor
from core.workload.examples import tensor_bytes
from core.workload.fingerprint import state_fingerprint

FORMAT, VERSION = "secateur.packed", "1"
QUICK, HARD = 3, 19  # levels of zstd: codings are compared by the first; on many int8 weights it is the better one
FRAME_BYTES = 1 << 20  # small streams share a frame up to this: each frame has a table of its own to pay for
SHORT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.uint8, torch.int16)
LONG_DTYPES = (torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128)
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*SHORT_DTYPES, *LONG_DTYPES, *FLOAT8)}
Packed = Tensor | QuantizedTensor


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
    metadata = {"format": FORMAT, "version": VERSION, "sha256": _seal(contents)}
    _save(contents, metadata, path)
    codings = {name: arrays[at if isinstance(at, int) else at["codes"]]["coding"] for name, at in names.items()}
    return PackedFile(path.stat().st_size, codings)


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
    if metadata.get("sha256") != _seal(contents):
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


def _seal(contents: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in ("index", "frames"):
        digest.update(tensor_bytes(contents[name]))
    return digest.hexdigest()


def _save(contents: dict[str, Tensor], metadata: dict[str, str], path: Path) -> None:
    """Beside the goal first, and moved there when whole: nobody ever reads half a file."""
    draft: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        os.close(handle)
        draft = Path(name)
        save_file(contents, draft, metadata=metadata)
        draft.chmod(0o644)
        os.replace(draft, path)
    except (OSError, SafetensorError) as error:  # safetensors raises its own type for a full disk
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise SecateurError(f"cannot write {path}: {error}; free some space or choose another place") from None


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


def main() -> None:
    """`python -m core.delivery.packing FILE`: prints the fingerprint of what the file holds, dequantized."""
    try:
        print(state_fingerprint(dequantized(read_packed(Path(sys.argv[1])))))
    except SecateurError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
