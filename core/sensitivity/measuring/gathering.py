"""Evidence of other batches, gathered example by example, where a model gives each the same bits in any batch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.sensitivity.evidence import BatchEvidence, EvidenceStore
from core.sensitivity.forwards.batches import Batches
from core.sensitivity.measuring.stopping import Cancelled
from core.workload.examples import Examples
from core.workload.outputs import tensors_of

Run = Callable[[Tensor], Any]  # positions in the evaluation data -> outputs of a model on those examples


class Gathering:
    """What is known of a cell on some batches, from what was measured on others.

    Of a source batch nothing is taken before its key fits the content of the examples that it says it is made of, and
    the dense model, and once a cut one, gave the same bits for its rows in a batch of the wanted size and of other
    neighbours. That a cut changed any output of an example is known where a score or a loss of it differs from the
    dense model's, or nothing in its batch changed; where neither is so, the batch is left to be measured.

    Args:
        examples: the evaluation data.
        batches: that are wanted.
        store: of the evidence.
        dense_key: of the dense model.
        dense: runs it.
    """

    def __init__(self, examples: Examples, batches: Batches, store: EvidenceStore, dense_key: str, dense: Run) -> None:
        self._examples, self._batches, self._store, self._dense = examples, batches, store, dense
        self._of_dense = store.read(dense_key, batches.keys, dense=True, others=True)
        self._positions: dict[str, NDArray[np.int64] | None] = {}
        self._alike: dict[tuple[int, int], bool] = {}
        self._outputs: dict[str, list[Tensor]] = {}
        self._cut_alike: bool | None = None

    def gathered(self, known: Mapping[str, BatchEvidence], cut: Run) -> dict[int, BatchEvidence]:
        """Evidence on the wanted batches that are not in `known`, by their number, of what is.

        Args:
            known: of a cell, by the key of the batch.
            cut: runs the model with its cut.
        """
        wanted = [i for i, key in enumerate(self._batches.keys) if key not in known]
        sources = [key for key in known if key not in self._batches.keys and key in self._of_dense]
        if not wanted or not sources or self._batches.padding is not None:
            return {}
        self._describe(sources)
        # the wanted batches may hold examples of known ones among them: those are sources too
        sources += [key for key in self._batches.keys if key in known and key in self._of_dense]
        self._describe(sources)
        at = np.full((2, len(self._examples)), -1)
        for s, key in enumerate(sources):
            positions = self._positions[key]
            if positions is not None and len(known[key].scores) == len(positions):
                at[0, positions] = s
                at[1, positions] = np.arange(len(positions))
        found: dict[int, BatchEvidence] = {}
        for i in wanted:
            source, row = at[:, self._batches.positions[i].numpy()]
            used = sorted(set(source.tolist()))
            if used[0] < 0 or not all(self._is_alike(sources[s], i, cut) for s in used):
                continue
            evidence = self._joined([sources[s] for s in used], np.searchsorted(used, source), row, known)
            if evidence is not None:
                found[i] = evidence
        return found

    def _describe(self, keys: Sequence[str]) -> None:
        """Which examples batches are made of, as far as the content of these fits the key."""
        new = [key for key in keys if key not in self._positions]
        said = self._store.read_batches(new)
        for key in new:
            positions = said[key].positions if key in said else None
            if positions is not None and (positions.min() < 0 or positions.max() >= len(self._examples)):
                positions = None
            if positions is not None and self._taken(positions).fingerprint() != key:
                positions = None
            self._positions[key] = positions

    def _taken(self, positions: NDArray[np.int64]) -> Examples:
        return self._examples.take(torch.from_numpy(positions.copy()))

    def _joined(
        self,
        sources: Sequence[str],
        source: NDArray[np.int64],
        row: NDArray[np.int64],
        known: Mapping[str, BatchEvidence],
    ) -> BatchEvidence | None:
        """Rows of several batches as one, or `None` if nobody knows whether an output changed."""
        parts, dense = [known[key] for key in sources], [self._of_dense[key] for key in sources]
        starts = np.cumsum([0, *(len(part.scores) for part in parts)])[:-1]
        rows = starts[source] + row

        def of(values: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
            there = [one for one in values if one is not None]
            return np.concatenate(there)[rows] if len(there) == len(values) else None

        scores, losses = of([part.scores for part in parts]), of([part.losses for part in parts])
        dense_scores, dense_losses = of([part.scores for part in dense]), of([part.losses for part in dense])
        assert scores is not None
        differs = scores.tobytes() != (b"" if dense_scores is None else dense_scores.tobytes())
        if losses is not None and dense_losses is not None:
            differs = differs or losses.tobytes() != dense_losses.tobytes()
        if not differs and any(part.changed for part in parts):
            return None
        return BatchEvidence(scores, differs, losses=losses, gathered=True)

    def _is_alike(self, key: str, i: int, cut: Run) -> bool:
        """Whether rows of a batch get the same bits in one as large as the wanted batch `i`, with other neighbours."""
        positions, size = self._positions[key], self._batches.size(i)
        assert positions is not None
        pair = (len(positions), size)
        if pair not in self._alike:
            self._alike[pair] = self._compare(self._dense, torch.from_numpy(positions.copy()), size)
            if self._alike[pair] and self._cut_alike is None:
                self._cut_alike = self._compare(cut, torch.from_numpy(positions.copy()), size)
        return self._alike[pair] and self._cut_alike is not False

    def _compare(self, run: Run, positions: Tensor, size: int) -> bool:
        kept = positions[:size]
        is_in = torch.zeros(len(self._examples), dtype=torch.bool)
        is_in[positions] = True
        others = torch.cat([p[~is_in[p]] for p in self._batches.positions])[: size - len(kept)]
        mixed = torch.cat([others, kept.flip(0)])
        if len(mixed) < size:  # too few others: the same neighbours, in another place
            mixed = torch.cat([mixed, positions[: size - len(mixed)]])
        try:
            first, second = tensors_of(run(positions)), tensors_of(run(mixed))
        except Cancelled:
            raise
        except Exception:  # the cut cannot run: there is nothing to share
            return False
        place = torch.arange(len(others), len(others) + len(kept)).flip(0)
        return len(first) == len(second) and all(
            a.shape[:1] == (len(positions),)
            and b.shape[:1] == (len(mixed),)
            and a[: len(kept)].cpu().contiguous().numpy().tobytes()
            == b[place.to(b.device)].cpu().contiguous().numpy().tobytes()
            for a, b in zip(first, second, strict=True)
        )
