"""Where attention heads lie in their projections, so that they can be taken out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from torch import nn

from core.pruning.coupling.groups import CannotCutError, Slice


@dataclass(frozen=True)
class HeadLayout:
    """Where the heads of one attention module lie, and how to tell the module of fewer.

    With grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245) several query heads share a key/value head;
    else `n_kv` equals `n_heads`, and each has its own.

    Attributes:
        path: of the module.
        n_heads, n_kv: query heads, and key/value heads; the first is a multiple of the second.
        query: of every query head: rows of the query projection, columns of the output projection.
        shared: of every key/value head: rows of the key and the value projection.
        resize: `(module, query heads that stay, key/value heads that stay)`, by their numbers of before: write the new
            numbers wherever the module keeps them.
        core: path of the module within that keeps the numbers, and a configuration if it has one.
        head_dim: of each head.
        rewrite: makes an equivalent module that can hold fewer heads, whose tensors the slices name; `None` if the
            module itself can.
    """

    path: str
    n_heads: int
    n_kv: int
    query: tuple[Slice, ...]
    shared: tuple[Slice, ...]
    resize: Callable[[nn.Module, Sequence[int], Sequence[int]], None]
    core: str = ""
    head_dim: int = 0
    rewrite: Callable[[nn.Module], nn.Module] | None = None

    def kv_of(self, head: int) -> int:
        """The key/value head that a query head uses."""
        return head // (self.n_heads // self.n_kv)

    def without(self, heads: Collection[int], kv_heads: Collection[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Query heads and key/value heads that go when these are cut.

        A key/value head takes its query heads along, and goes itself with the last of them.

        Raises:
            CannotCutError: no head would stay, or those that stay would not have equally many query heads each.
        """
        gone = set(heads) | {head for head in range(self.n_heads) if self.kv_of(head) in kv_heads}
        left = [
            sum(1 for head in range(self.n_heads) if self.kv_of(head) == kv and head not in gone)
            for kv in range(self.n_kv)
        ]
        if not any(left):
            raise CannotCutError(
                f"the plan removes all {self.n_heads} heads of {self.path}; keep one, or skip the whole block"
            )
        if len({n for n in left if n}) > 1:
            raise CannotCutError(
                f"{self.path} has grouped-query attention: the key/value heads that stay must have equally many query "
                f"heads, and the plan leaves them {', '.join(map(str, left))}; cut whole key/value groups, or as many "
                "query heads of each"
            )
        return sorted(gone), [kv for kv, n in enumerate(left) if not n]
