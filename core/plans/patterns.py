"""Patterns: regular shapes in which the weights of a layer go, as text and as values. No torch.

`"2:4"` keeps 2 of every 4 consecutive weights along the input dimension (Mishra et al. 2021, arXiv:2104.08378).
`"4x4"` is for tiles of 4 rows and 4 columns of the weight seen as a matrix of outputs and inputs, which go whole.
"""

import re
from dataclasses import dataclass
from math import prod

from core.errors import SecateurError
from core.workload.target import Granularity, Target

MAX_GROUP = 32
# sides of square tiles that torch's product of BSR tensors is tried with on a CPU: MKL refuses tiles that are not
# square, and those of 1 are single weights
CPU_SIDES = (32, 16, 8, 4)
EXPECTED = (
    f"N:M with 1 <= N < M <= {MAX_GROUP}, as 2:4: N of every M consecutive weights stay; "
    "or ROWSxCOLUMNS of a tile, as 4x4"
)
_TEXT = re.compile(r"([1-9][0-9]{0,4})([:x])([1-9][0-9]{0,4})")


@dataclass(frozen=True)
class Pattern:
    """`N:M` or tiles.

    Attributes:
        a, b: of `a:b`, how many of how many stay; of tiles `axb`, rows and columns.
        is_tiles: whether it is tiles, of which any fraction can go; an `N:M` has one sparsity.
    """

    a: int
    b: int
    is_tiles: bool

    def __str__(self) -> str:
        return f"{self.a}{'x' if self.is_tiles else ':'}{self.b}"

    @property
    def sparsity(self) -> float | None:
        """The one sparsity of an `N:M`; `None` for tiles."""
        return None if self.is_tiles else (self.b - self.a) / self.b

    def n_removed(self, n_weights: int, sparsity: float) -> int:
        """Entries that a cut removes from a weight that the pattern divides: of tiles `round(sparsity * n_tiles)`."""
        if not self.is_tiles:
            return n_weights // self.b * (self.b - self.a)
        size = self.a * self.b
        return (
            round(sparsity * (n_weights // size)) * size
        )  # rounded as `core.plans.plan.n_removed`, which imports this

    def why_not(self, target: Target) -> str | None:
        """Why a weight cannot be cut in this pattern, one sentence without a full stop; `None` if it can be."""
        if target.layout == "looked_up" and not target.shared_with:
            return (
                f"{target.name} is an embedding: its rows are looked up, not multiplied, so no pattern makes it faster"
            )
        if target.layout == "inputs_first":
            return f"{target.name} is a transposed convolution: no engine runs one in a pattern"
        if target.layout == "experts":
            return (
                f"{target.name} holds the weights of several experts in one parameter: no engine runs it in a pattern"
            )
        if target.layout == "two_inputs":
            return f"{target.name} is bilinear: it has two input dimensions, and a pattern is along one"
        shape = target.oriented_shape
        if len(shape) < 2:
            return f"{target.name} is no matrix of outputs and inputs, its shape is {target.shape}"
        rows, columns = shape[0], prod(shape[1:])
        if self.is_tiles:
            if rows % self.a or columns % self.b:
                return f"{target.name} is {rows} x {columns} as outputs x inputs, which tiles of {self} do not divide"
            return None
        n_in = shape[1]
        return f"{self} needs a multiple of {self.b} inputs, and {target.name} has {n_in}" if n_in % self.b else None


def is_pattern(granularity: Granularity) -> bool:
    """Whether a granularity is a pattern, and not a word such as `"weight"`."""
    return isinstance(granularity, str) and _TEXT.fullmatch(granularity) is not None


def parse_pattern(text: str) -> Pattern:
    """The pattern that a text such as `2:4` or `4x4` names.

    Raises:
        SecateurError: it names none.
    """
    found = _TEXT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise SecateurError(f"a pattern is {EXPECTED}; got {text!r}")
    pattern = Pattern(int(found[1]), int(found[3]), found[2] == "x")
    if pattern.is_tiles:
        if pattern.a == pattern.b == 1:
            raise SecateurError('tiles of 1x1 are single weights; cut them with granularity "weight"')
    elif not pattern.a < pattern.b <= MAX_GROUP:
        raise SecateurError(f"a pattern is {EXPECTED}; got {text!r}")
    return pattern


def looked_up_as(granularity: Granularity) -> Granularity:
    """Granularity of the targets that cuts of this one name: patterns are for weights."""
    return "weight" if is_pattern(granularity) else granularity
