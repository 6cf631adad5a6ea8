"""Plays of William Shakespeare as character codes.

The plays are in the public domain; the transcriptions come from the Open Shakespeare project
(see `data/shakespeare/LICENSE`). Whole plays are held out: none is in two splits.
"""

import gzip
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "data" / "shakespeare"
VOCABULARY = "\n" + "".join(map(chr, range(32, 127)))  # 96 characters; a code is an index into it


def characters(split: str) -> Tensor:
    """Codes of a split, `"train"`, `"calibration"` or `"evaluation"`: int64 (length,), in [0, 96)."""
    text = gzip.decompress((FOLDER / f"{split}.txt.gz").read_bytes()).decode("ascii")
    return torch.tensor([VOCABULARY.index(c) for c in text])


def passages(split: str, length: int) -> tuple[Tensor, Tensor]:
    """Consecutive passages and, for each character, the one that follows: two int64 (n, length)."""
    codes = characters(split)
    n = (len(codes) - 1) // length
    return codes[: n * length].view(n, length), codes[1 : n * length + 1].view(n, length)
