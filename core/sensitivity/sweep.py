"""The sweep: every cell of layers × sparsities and every head, each from the dense weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.cells import prepared
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.measuring.cost import Cost, Trial, replay_pays
from core.sensitivity.measuring.counting import counted_first
from core.sensitivity.measuring.ledger import Ledger
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Outcome
from core.sensitivity.report import CellResult, Estimate, default_tolerance
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.cell_results import cell_result
from core.sensitivity.search.scheduler import Answer, Progress, Search
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.risen import Risen, RisenOfStrata
from core.sensitivity.statistics.sound import not_finite_text
from core.sensitivity.sweep_news import News, Shown
from core.sensitivity.sweep_words import NO_FORECASTS, NONE_BY_FORECAST, audit_text


class Sweep:
    """The cells of a sweep on their way from waiting to measured.

    Batches are the outer loop, so that a whole map exists after the first one and sharpens from then on. On each batch
    the cells of one target are measured together, because they share what the dense model computes.

    Args:
        measurement: entered.
        cells: from `plan_cells`.
        request: mode, tolerance and width; and whether to replay.
        on_news: called about twice a second.
        on_cost: called once, when every target has been tried.
    """

    def __init__(
        self,
        measurement: Measurement,
        cells: Sequence[CellResult],
        request: SweepRequest,
        on_news: Callable[[News], None],
        on_cost: Callable[[Cost], None] = lambda cost: None,
    ) -> None:
        cells = prepared(cells, measurement, request.repair)
        self._measurement, self._cells, self._request = measurement, cells, request
        self._on_news, self._on_cost = on_news, on_cost
        wanted = request.mode != "exact" and request.rule != "sampling" and not request.dry_run
        calibrated = request.rule == "calibrated"
        counted = counted_first(measurement, request.mode == "race", calibrated) if wanted else None
        self._census = counted.census if counted else None
        self._margins = counted.margins if counted else None
        self._dense: Estimate | None = counted.dense if counted else None
        self._ledger = Ledger(measurement, [SparsityPlan((cell.cut,), repair=request.repair) for cell in cells])
        self._known, self._failed = self._ledger.known, self._ledger.failed
        self._found: list[dict[int, BatchEvidence]] = [{} for _ in cells]
        # what cannot be cut at all needs no measuring
        self._failed.update((p, cell.reason or "") for p, cell in enumerate(cells) if cell.state == "failed")
        self._full: dict[int, Outcome] = {}
        self._shown = Shown()
        self._told = [0] * len(cells)
        self._risen = [self._new_risen() for _ in cells]
        self._reused = self._n_dense = 0
        self._tolerance: float | None = None
        self._ahead: Iterator[tuple[int, int, BatchEvidence | None]] | None = None
        self._foreseen = False  # whether cells were last shown as far as they were forecast

    def first(self) -> None:
        """Measure one cell on the first batch and tell of it, before anything is prepared for the others.

        By a full pass, of which replay gives the bits.

        Raises:
            SecateurError: as `run`.
            Cancelled: as `run`.
        """
        fresh = [p for p in range(len(self._cells)) if p not in self._failed]
        if self._request.dry_run or not fresh or any(self._known):
            return
        p = fresh[0]
        ((_, evidence),) = self._ledger.measure(0, [p])
        self._ledger.save()
        if evidence is None or not_finite_text(evidence.scores):
            return  # said when its turn comes
        self._found[p][0] = evidence
        scale, batches = self._measurement.workload.metric.scale, self._measurement.batches
        alone = Search("exact", [self._cells[p]], scale, [batches.size(i) for i in range(len(batches))])
        self._measurement.dense_evidence(0)  # the cell may have been measured elsewhere
        alone.tell_dense(*self._measurement.dense_scores([0]))
        alone.tell(0, 0, evidence.scores.astype(np.float64), evidence.changed)
        risen = Risen()
        risen.take(evidence.losses, self._measurement.dense_losses(0))
        cell = replace(self._cells[p], evidence=self._ledger.keys[p])
        shown = cell_result(cell, alone, 0, alone.state(0), scale, risen.estimate())
        exact = self._request.mode == "exact"
        total = len(self._cells) * (len(batches) if exact else 1)
        self._on_news(News({p: shown}, int(exact), 0, total, 0, False, self._dense_so_far()))

    def estimate(self, estimates: Mapping[Cut, float]) -> None:
        """What each cut seems to cost, shown with its cell from now on."""
        self._cells = tuple(replace(cell, estimate=estimates.get(cell.cut)) for cell in self._cells)

    def run(self) -> None:
        """Measure until nothing is left to do; with `request.dry_run`, until every target has been tried.

        Raises:
            SecateurError: the dense model cannot be measured.
            Cancelled: as the measurement's `check` says; what was measured before is on disk.
        """
        n_batches = len(self._measurement.batches)
        missing = [p for p, known in enumerate(self._known) if len(known) < n_batches and p not in self._failed]
        plans = [self._ledger.plans[p] for p in missing]
        if self._request.replay or (self._request.replay is None and replay_pays(self._measurement, plans)):
            self._measurement.replay(keep=self._request.mode == "tolerance")
        self._search = self._new_search()
        self._tolerance = self._search.tolerance
        for p, reason in self._failed.items():
            self._search.fail(p, reason)
        try:
            self._try_targets(missing)
            while not self._request.dry_run and (asked := self._search.next()) is not None:
                i, positions = asked
                new = [p for p in positions if i not in self._known[p] and i not in self._found[p]]
                self._measure(i, [p for p in new if p not in self._failed])
                self._tell_dense(i)
                for p in positions:
                    self._tell(i, p)
                self._save()
            self._full = self._known_in_full()
        finally:
            self._save(last=True)

    def _known_in_full(self) -> dict[int, Outcome]:
        """Cells that the search left early, of which an earlier run had measured everything."""
        n_batches = len(self._measurement.batches)
        states = [self._search.state(p).state for p in range(len(self._cells))]
        early = [p for p, state in enumerate(states) if state == "early" and len(self._known[p]) == n_batches]
        if early:
            self._measurement.dense()
        for p, i in ((p, i) for p in early for i in range(n_batches)):
            self._ledger.keep(p, i)
        return {p: self._measurement.outcome(self._known[p]) for p in early}

    @property
    def n_random(self) -> int | None:
        """Batches, from the first on, that are a random sample of all; `None` where all batches are."""
        census, batches = self._census, self._measurement.batches
        if census is None:
            return None
        return next(k for k in range(len(batches) + 1) if sum(map(batches.size, range(k))) == census.n_random)

    @property
    def tolerance(self) -> float | None:
        """That cells are decided against, once that is known."""
        return self._tolerance

    def notes(self) -> tuple[str, ...]:
        """How far forecasts were to be believed, in words; nothing of a sweep that was to make none."""
        if self._request.rule != "calibrated" or self._request.dry_run:
            return ()
        forecasts = self._search.forecasts
        if forecasts is None:
            return (NO_FORECASTS,)
        states = {self._search.state(p).state for p in range(len(self._cells))}
        if self._search.is_forecasting and "forecast" not in states:
            return (NONE_BY_FORECAST,)
        audit = forecasts.decided if forecasts.hold or not forecasts.decided.holds else forecasts.ahead
        return (audit_text(audit.n, audit.expected, self._search.is_forecasting, audit is forecasts.decided),)

    def answers(self) -> dict[str, Answer]:
        """As `Search.answers`."""
        return self._search.answers()

    def _new_search(self) -> Search:
        request, batches = self._request, self._measurement.batches
        metric = self._measurement.workload.metric
        scale, best = metric.scale, metric.against == "dense" and request.rule != "sampling"
        tolerance = request.tolerance
        if tolerance is None and (request.mode == "tolerance" or (request.mode == "race" and request.width is None)):
            dense = 1.0 if scale.unit == "fraction" else self._measurement.dense().value
            tolerance = default_tolerance(scale, dense)
        if tolerance is not None and scale.unit == "fraction" and tolerance >= 1:
            raise SecateurError(
                f"a tolerance of {tolerance:g} is all of the {scale.name} and more: it is a fraction, 0.01 is one point"
            )
        sizes = [batches.size(i) for i in range(len(batches))]
        return Search(
            request.mode, self._cells, scale, sizes, tolerance, request.width,
            census=self._census, margins=self._margins, dense_is_best=best,
        )  # fmt: skip

    def _new_risen(self) -> Risen | RisenOfStrata:
        census = self._census
        return Risen() if census is None else RisenOfStrata(census.likely, census.n_random, census.n_whole)

    def _try_targets(self, missing: Sequence[int]) -> None:
        """Cut each target once, and tell the cost; a run that goes on has told it before."""
        trial = Trial(self._measurement, self._ledger, missing)
        if not trial.tried:
            return
        seconds = self._measure(0, trial.tried, ahead=False)
        left = [
            (p, i)
            for p in missing if p not in self._failed
            for i in range(len(self._measurement.batches)) if i not in self._known[p] and i not in self._found[p]
        ]  # fmt: skip
        self._on_cost(trial.cost(seconds, left))

    def _measure(self, i: int, positions: Sequence[int], ahead: bool = True) -> dict[int, float]:
        """Measure cells on one batch, and `ahead`, where that may be, all to come; the seconds that each took."""
        seconds: dict[int, float] = {}
        if ahead and self._measurement.elsewhere is not None and self._request.mode == "exact":
            coming = self._from_ahead(i, positions)
        else:
            coming = self._ledger.measure(i, positions)
        for p, found in coming:
            if found is not None:
                seconds[p] = found.seconds or 0.0
                self._found[p][i] = found
            if self._ledger.is_due:
                self._save()
        return seconds

    def _from_ahead(self, i: int, positions: Sequence[int]) -> Iterator[tuple[int, BatchEvidence | None]]:
        """As `Ledger.measure`, of cells that were asked for together with all that will be: who measures elsewhere is
        not kept waiting for the last cell of a batch."""
        if self._ahead is None:
            self._ahead = self._ledger.measure_all(self._to_come(i))
        left = set(positions)
        while left:
            batch, p, found = next(self._ahead)
            if batch != i:  # somebody asked to stop: of what was under way, this is handed over before
                continue
            left.discard(p)
            yield p, found
            left -= self._failed.keys()

    def _to_come(self, first: int) -> Iterator[tuple[int, list[int]]]:
        for i in range(first, len(self._measurement.batches)):
            cells = range(len(self._cells))
            left = [p for p in cells if i not in self._known[p] and i not in self._found[p] and p not in self._failed]
            yield i, left

    def _tell_dense(self, i: int) -> None:
        if i == self._n_dense:  # batches are reached in order, each for the first time once
            self._measurement.dense_evidence(i)
            self._search.tell_dense(*self._measurement.dense_scores([i]))
            self._n_dense += 1

    def _tell(self, i: int, p: int) -> None:
        """Tell the search what is known of a cell on a batch."""
        self._reused += i in self._known[p]
        self._told[p] += 1
        if i in self._known[p]:
            self._ledger.keep(p, i)
        evidence = self._known[p].get(i) or self._found[p].pop(i, None)
        if p in self._failed or evidence is None:
            self._search.fail(p, self._failed[p])
        elif reason := not_finite_text(evidence.scores):
            self._search.fail(p, reason)
        else:
            self._search.tell(p, i, evidence.scores.astype(np.float64), evidence.changed)
            self._risen[p].take(evidence.losses, self._measurement.dense_losses(i))
        self._shown.touch(p)

    def _save(self, last: bool = False) -> None:
        """Put what was measured on disk, and tell of cells that know notably more than when they were last told of."""
        self._ledger.save()
        if self._foreseen and not self._search.is_forecasting:  # what was shown so far was forecast
            for p in range(len(self._cells)):
                self._shown.touch(p)
        self._foreseen = self._search.is_forecasting
        states = [self._search.state(p) for p in range(len(self._cells))]
        cells = {p: self._result(p, states[p]) for p in self._shown.news(states, self._full, last)}
        n_batches = len(self._measurement.batches)
        exact = self._request.mode == "exact"
        closed = sum(progress.state != "open" for progress in states)
        done = sum(
            n_batches if progress.state == "failed" else told + len(found)
            for progress, told, found in zip(states, self._told, self._found, strict=True)
        )
        self._on_news(
            News(
                cells,
                done if exact else closed,
                self._reused if exact else 0,
                len(self._cells) * (n_batches if exact else 1),
                closed,
                all(progress.n or progress.state == "failed" for progress in states),
                self._dense_so_far(),
            )
        )

    def _dense_so_far(self) -> Estimate | None:
        if self._dense is not None:
            return self._dense
        seen = [i for i in range(len(self._measurement.batches)) if self._measurement.has_dense(i)]
        if sum(map(self._measurement.batches.size, seen)) < 2:
            return None
        try:
            return self._measurement.dense_estimate(seen)
        except UndefinedMetricError:  # so few examples may all have one label
            return None

    def _result(self, p: int, progress: Progress) -> CellResult:
        cell = replace(self._cells[p], evidence=self._ledger.keys[p])
        if p in self._full:
            full = self._full[p]
            return replace(cell, state=full.state, metric=full.metric, drop=full.drop, reason=full.reason)
        scale = self._measurement.workload.metric.scale
        return cell_result(cell, self._search, p, progress, scale, self._risen[p].estimate())
