"""A model that was never there: margins, and cuts that move them; and what a search makes of it."""

import numpy as np

from core import CellResult, Cut, Scale
from core.sensitivity.report import largest_within
from core.sensitivity.search.census import interleaved, planned
from core.sensitivity.search.scheduler import Search
from core.sensitivity.statistics.intervals import drop_estimate

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
GRID = (0.1, 0.3, 0.5, 0.7, 0.9)
SIZE = 50


class World:
    """Margins, a dense model, and cuts that move margins by so much; a hard one flips what the model is sure of."""

    def __init__(self, curves, n=2000, seed=0, sure=0.0, accuracy=0.93):
        rng = np.random.default_rng(seed)
        self.right = rng.random(n) < accuracy
        self.margins = np.where(self.right, rng.gamma(3, 1.2, n), rng.gamma(1.5, 0.8, n))
        signed = np.where(self.right, self.margins, -self.margins)
        self.dense = self.right.astype(float)
        self.cells, self.scores = [], []
        for i, curve in enumerate(curves):
            for sparsity, harm in zip(GRID, curve, strict=False):
                moved = signed + rng.normal(-harm / 2, harm, n)
                score = (moved > 0).astype(float)
                if sure:  # an adversary: flips where no margin would say so
                    score = np.where(self.right & (rng.random(n) < sure * harm), 0.0, score)
                self.cells.append(CellResult(Cut(f"t{i}", "weight", sparsity, "magnitude"), 1, 2))
                self.scores.append(score)
        self.sizes = [SIZE // 5, SIZE - SIZE // 5, *[SIZE] * (n // SIZE - 1)]

    def search(self, mode="tolerance", seed=0, first=0.05, calibrated=False, **how):
        order = np.random.default_rng(seed).permutation(len(self.dense))
        given = self.margins[order], self.dense[order], self.sizes, SIZE, np.arange(len(order))[order]
        found = interleaved(*given) if calibrated else planned(*given, first)
        assert found is not None
        places, sizes, census = found
        self.order = order[places]
        self.edges = [0, *np.cumsum(sizes).tolist()]
        margins = self.margins[self.order] if calibrated else None
        search = Search(mode, self.cells, ACCURACY, sizes, census=census, margins=margins, **how)
        for a, b in zip(self.edges, self.edges[1:], strict=False):
            search.tell_dense(self.dense[self.order[a:b]])
        return search, census

    def run(self, search, limit=10_000):
        asked = []
        while limit and (wanted := search.next()):
            limit -= 1
            batch, positions = wanted
            rows = self.order[self.edges[batch] : self.edges[batch + 1]]
            for p in positions:
                asked.append((p, batch))
                search.tell(p, batch, self.scores[p][rows], True)
        return asked

    def exact(self, tolerance):
        cells = [
            CellResult(c.cut, 1, 2, "measured", d := drop_estimate(ACCURACY, self.dense, s), d)
            for c, s in zip(self.cells, self.scores, strict=True)
        ]
        return cells, largest_within(cells, tolerance)


CURVES = [(0.05, 0.3, 0.6, 1.2, 3.0), (0.02, 0.1, 0.4, 0.9, 1.5), (0.3, 0.5, 0.8, 2.0, 4.0)]
