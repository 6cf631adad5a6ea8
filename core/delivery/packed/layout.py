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
from collections.abc import Mapping

import torch
from torch import Tensor

from core.quantization.weights import QuantizedTensor
from core.workload.examples import tensor_bytes

FORMAT, VERSION = "secateur.packed", "1"
SHORT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.uint8, torch.int16)
LONG_DTYPES = (torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128)
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*SHORT_DTYPES, *LONG_DTYPES, *FLOAT8)}
Packed = Tensor | QuantizedTensor


def seal(contents: Mapping[str, Tensor]) -> str:
    """Hash of the two tensors of a file, uint8 (n,) each: hexadecimal, 64 digits."""
    digest = hashlib.sha256()
    for name in ("index", "frames"):
        digest.update(tensor_bytes(contents[name]))
    return digest.hexdigest()
