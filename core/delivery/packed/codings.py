"""Codings: how the entries of one array become streams of bytes, so that what is zero costs next to nothing.

An entry is zero when all its bits are: -0.0 is a value like any other, and every bit comes back, of NaN as well.
Values are written byte by byte, all first bytes, then all second ones: what the exponents of floats have in common then
stands together. Masks and gaps are as in Han et al. 2016, arXiv:1510.00149, whose Huffman code is left to zstd.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
ESCAPE = 255  # in a stream of gaps: 255 more zeros, and the gap goes on


@dataclass(frozen=True)
class Stream:
    """A stream of bytes, and what it is: streams of one kind look alike, and are compressed together."""

    kind: str
    data: Bytes


@dataclass(frozen=True)
class Streams:
    """An array as streams.

    Attributes:
        positions: where the values stand; none where every entry is written.
        values: of the n entries that are written, one stream for each of their bytes: uint8 (n,).
    """

    positions: Stream | None
    values: tuple[Stream, ...]

    @property
    def all(self) -> tuple[Stream, ...]:
        """Every stream, in the order in which they are written and read."""
        return (*((self.positions,) if self.positions is not None else ()), *self.values)


def _every(entries: Bytes, kept: NDArray[np.bool_]) -> Streams:
    return Streams(None, _planes(entries))


def _bitmask(entries: Bytes, kept: NDArray[np.bool_]) -> Streams:
    """One bit per entry, 1 = there is a value, eight to a byte from the highest bit on."""
    return Streams(Stream("mask", np.packbits(kept)), _planes(entries[kept]))


def _gaps(entries: Bytes, kept: NDArray[np.bool_]) -> Streams:
    """For each value the number of zeros before it: a byte below 255, after a 255 for every 255 zeros."""
    gaps = np.diff(np.flatnonzero(kept), prepend=-1) - 1
    n_escapes = gaps // ESCAPE
    out = np.full(len(gaps) + int(n_escapes.sum()), ESCAPE, dtype=np.uint8)
    out[np.cumsum(n_escapes + 1) - 1] = gaps % ESCAPE
    return Streams(Stream("gaps", out), _planes(entries[kept]))


Coding = Callable[[Bytes, NDArray[np.bool_]], Streams]
CODINGS: Mapping[str, Coding] = MappingProxyType({"every": _every, "bitmask": _bitmask, "gaps": _gaps})


def coded(entries: Bytes, coding: str) -> Streams:
    """An array of n entries of k bytes each, uint8 (n, k), as streams; not modified."""
    return CODINGS[coding](entries, np.asarray(entries.any(axis=1)))


def positions_of(coding: str, n: int, n_kept: int, stream: Bytes | None) -> NDArray[np.int64] | None:
    """Where the values stand: int64 (n_kept,), ascending, in [0, n); `None` where every entry is written.

    Raises:
        ValueError: the stream does not tell of so many positions below n.
    """
    if coding == "every":
        if n_kept != n:
            raise ValueError(f"{n_kept} of {n} entries are written by a coding that writes every one")
        return None
    assert stream is not None
    found = _read_mask(stream, n) if coding == "bitmask" else _read_gaps(stream)
    if len(found) != n_kept or (n_kept and found[-1] >= n):
        raise ValueError(f"positions of {len(found)} values where {n_kept} of {n} entries have one")
    return found


def _read_mask(stream: Bytes, n: int) -> NDArray[np.int64]:
    bits = np.unpackbits(stream)
    if len(stream) != mask_bytes(n) or bits[n:].any():
        raise ValueError(f"a mask of {len(stream)} bytes for {n} entries")
    return np.flatnonzero(bits)


def _read_gaps(stream: Bytes) -> NDArray[np.int64]:
    ends = stream != ESCAPE
    if len(stream) and not ends[-1]:
        raise ValueError("a gap that does not end")
    zeros_before = np.cumsum(stream, dtype=np.int64)[ends]
    return zeros_before + np.arange(len(zeros_before))


def mask_bytes(n: int) -> int:
    """Bytes of a bitmask of n entries."""
    return -(-n // 8)


def joined(n: int, positions: NDArray[np.int64] | None, planes: Sequence[Bytes]) -> Bytes:
    """The entries again, uint8 (n, k): the values at their positions and zeros elsewhere."""
    values = np.stack(planes, axis=1)
    if positions is None:
        return values
    entries = np.zeros((n, len(planes)), dtype=np.uint8)
    entries[positions] = values
    return entries


def _planes(entries: Bytes) -> tuple[Stream, ...]:
    """All first bytes, all second bytes, …"""
    width = entries.shape[1]
    return tuple(Stream(plane_kind(width, k), np.ascontiguousarray(entries[:, k])) for k in range(width))


def plane_kind(width: int, k: int) -> str:
    """Kind of the stream that holds byte k of entries of so many bytes."""
    return f"values {k}/{width}"
