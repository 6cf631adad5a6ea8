"""The sweep: every cell of layers × sparsities and every head, each from the dense weights."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from core.errors import SecateurError
from core.plans.criteria import why_not
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import FRACTIONAL, Cut, SparsityPlan, n_removed
from core.pruning.coupling.groups import CannotCutError, n_units_removed
from core.pruning.masks import unknown_name_hint
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.outcome import Failure, Outcome
from core.sensitivity.report import CellResult, Estimate, Stage, default_tolerance
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.scheduler import Answer, Progress, Search
from core.sensitivity.statistics.bootstrap import UndefinedMetricError
from core.sensitivity.statistics.intervals import TOO_LARGE
from core.sensitivity.statistics.risen import Risen
from core.workload.target import Target


def plan_cells(targets: Sequence[Target], request: SweepRequest) -> tuple[CellResult, ...]:
    """The cells of a sweep, waiting to be measured, in network order with each target's sparsities ascending.

    A pattern that a layer cannot be cut in, or a criterion that says nothing of it, has cells that have failed already;
    nobody measures them.

    Raises:
        SecateurError: no target matches the request's `layers`.
    """
    matching = [target for target in targets if re.search(request.layers, target.name)]
    wanted = {
        "weight": request.weights or bool(request.patterns),
        "channel": request.channels,
        "head": request.heads,
        "kv_group": request.heads,
        "block": request.blocks,
    }
    chosen = [target for target in matching if wanted[target.granularity]]
    cells = tuple(cell for target in chosen for cell in _cells_of(target, request))
    if not cells:
        names = [target.name for target in targets]
        if not names:
            raise SecateurError("the model has nothing that can be cut; `secateur targets` lists the reasons")
        if matching:
            raise SecateurError(
                f"--layers {request.layers!r} matches only targets that this sweep leaves out; "
                "see --heads, --blocks and --sparsities"
            )
        raise SecateurError(
            f"--layers {request.layers!r} matches no target; {unknown_name_hint(request.layers, names)}"
        )
    return cells


def _cells_of(target: Target, request: SweepRequest) -> list[CellResult]:
    """By criterion, then by granularity, sparsities ascending."""
    if target.granularity not in FRACTIONAL:
        return [CellResult(Cut(target.name, target.granularity), target.n_weights, target.n_weights)]
    cells: list[CellResult] = []
    for criterion in request.criteria:
        if target.granularity == "channel":
            found = [_channel_cell(target, sparsity, criterion, request) for sparsity in request.sparsities]
        else:
            found = _weight_cells(target, criterion, request)
            found += [cell for text in request.patterns for cell in _pattern_cells(target, text, criterion, request)]
        cells += found
    return [_failed(cell, why_not(cell.cut.criterion or "", target, cell.cut.granularity)) for cell in cells]


def _failed(cell: CellResult, reason: str | None) -> CellResult:
    """A cell that need not be measured, if there is a reason; one that failed before keeps its own."""
    if reason is None or cell.state == "failed":
        return cell
    return replace(cell, n_removed=0, state="failed", reason=reason)


def _weight_cells(target: Target, criterion: str, request: SweepRequest) -> list[CellResult]:
    return [
        CellResult(
            Cut(target.name, "weight", sparsity, criterion), n_removed(sparsity, target.n_weights), target.n_weights
        )
        for sparsity in request.sparsities
        if request.weights
    ]


def _pattern_cells(target: Target, text: str, criterion: str, request: SweepRequest) -> list[CellResult]:
    """One cell for `N:M`, which has one sparsity; of tiles one for each."""
    pattern = parse_pattern(text)
    cuts = [
        Cut(target.name, text, sparsity, criterion)
        for sparsity in (request.sparsities if pattern.sparsity is None else (pattern.sparsity,))
    ]
    reason = pattern.why_not(target)
    if reason is not None:
        return [CellResult(cut, 0, target.n_weights, "failed", reason=reason) for cut in cuts]
    return [CellResult(cut, pattern.n_removed(target.n_weights, cut.sparsity or 0.0), target.n_weights) for cut in cuts]


def _channel_cell(target: Target, sparsity: float, criterion: str, request: SweepRequest) -> CellResult:
    """A cell of a coupled group; failed from the start where the group cannot lose so much."""
    cut = Cut(target.name, "channel", sparsity, criterion, request.align)
    assert target.n_units is not None
    try:
        removed = target.n_weights * n_units_removed(target, sparsity, request.align) // target.n_units
    except CannotCutError as error:
        return CellResult(cut, 0, target.n_weights, "failed", reason=str(error))
    return CellResult(cut, removed, target.n_weights)


def prepared(cells: Sequence[CellResult], measurement: Measurement) -> tuple[CellResult, ...]:
    """Cells whose criteria have looked at their calibration data; of those that say nothing, the cells have failed.

    Raises:
        SecateurError: as `Measurement.prepare_cuts`.
    """
    reasons = measurement.cutting.prepare_cuts([cell.cut for cell in cells if cell.state != "failed"])
    return tuple(_failed(cell, reasons.get(cell.cut)) for cell in cells)


STAGES: Mapping[str, Stage] = MappingProxyType(
    {"open": "open", "finished": "full", "stopped": "decided", "early": "early"}
)
FLUSH_SECONDS = 0.5  # what was measured is on disk at the latest this much later
FEW_CELLS = 4  # tracing a model costs about as much as a few passes
TRACING_SECONDS = 1.5
FUNCTION_SECONDS = 1.3e-4  # of making and checking one target's function, per tensor of the model (growth.py)
GROWTH = 1.5  # a cell is shown anew when it has so many times the examples that it was last shown with


@dataclass(frozen=True)
class Cost:
    """What a sweep will take, estimated from trying every target once on the smallest batch.

    Attributes:
        n_cells: to be measured.
        n_examples: that each is measured on, at most.
        n_known: cells times batches that were known already, of `n_total`.
        seconds: for all cells on all examples; a search needs less.
        full_seconds: the same by full passes.
    """

    n_cells: int
    n_examples: int
    n_total: int
    n_known: int
    seconds: float
    full_seconds: float


@dataclass(frozen=True)
class News:
    """What a sweep found since it last told.

    Attributes:
        cells: changed cells by position.
        done, reused: measurements of one cell on one batch, and how many of them were known before.
        total: of them all; `None` while a search decides as it goes.
        closed: cells that need nothing more.
        has_map: every cell has been measured on some examples.
        dense: the dense model on the examples so far.
    """

    cells: Mapping[int, CellResult]
    done: int
    reused: int
    total: int | None
    closed: int
    has_map: bool
    dense: Estimate | None


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
        cells = prepared(cells, measurement)
        self._measurement, self._cells, self._request = measurement, cells, request
        self._on_news, self._on_cost = on_news, on_cost
        self._plans = [SparsityPlan((cell.cut,)) for cell in cells]
        self._keys = [measurement.cell_key(plan) for plan in self._plans]
        self._known = [self._on_disk(key) for key in self._keys]
        self._found: list[dict[int, BatchEvidence]] = [{} for _ in cells]
        # what cannot be cut at all needs no measuring
        self._failed = {p: cell.reason or "" for p, cell in enumerate(cells) if cell.state == "failed"}
        self._full: dict[int, Outcome] = {}
        self._unsaved: list[tuple[str, str, BatchEvidence]] = []
        self._shown: dict[int, Progress] = {}  # as it was last told of
        self._touched: set[int] = set()
        self._told = [0] * len(cells)
        self._risen = [Risen() for _ in cells]
        self._reused = self._n_dense = 0
        self._saved_at = time.monotonic()

    def run(self) -> None:
        """Measure until nothing is left to do; with `request.dry_run`, until every target has been tried.

        Raises:
            SecateurError: the dense model cannot be measured.
            Cancelled: as the measurement's `check` says; what was measured before is on disk.
        """
        n_batches = len(self._measurement.batches)
        missing = [p for p, known in enumerate(self._known) if len(known) < n_batches and p not in self._failed]
        if self._request.replay or (self._request.replay is None and self._replay_pays(missing)):
            self._measurement.replay(keep=self._request.mode == "tolerance")
        self._search = self._new_search()
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

    def _replay_pays(self, missing: Sequence[int]) -> bool:
        """Whether replay, which saves about half, saves more than tracing and making each target's function cost."""
        if len(missing) < FEW_CELLS:
            return False
        measurement = self._measurement
        measurement.dense_evidence(0)
        full = measurement.dense_seconds * len(missing) * measurement.batches.n / measurement.batches.size(0)
        n_targets = len({name for p in missing for name in measurement.maker.parameters(self._plans[p])})
        n_tensors = sum(1 for _ in measurement.workload.model.parameters())
        return full / 2 > TRACING_SECONDS + n_targets * n_tensors * FUNCTION_SECONDS

    def _known_in_full(self) -> dict[int, Outcome]:
        """Cells that the search left early, of which an earlier run had measured everything."""
        n_batches = len(self._measurement.batches)
        states = [self._search.state(p).state for p in range(len(self._cells))]
        early = [p for p, state in enumerate(states) if state == "early" and len(self._known[p]) == n_batches]
        if early:
            self._measurement.dense()
        return {p: self._measurement.outcome(self._known[p]) for p in early}

    @property
    def tolerance(self) -> float | None:
        """That cells are decided against."""
        return self._search.tolerance

    def answers(self) -> dict[str, Answer]:
        """As `Search.answers`."""
        return self._search.answers()

    def _new_search(self) -> Search:
        request, batches = self._request, self._measurement.batches
        scale = self._measurement.workload.metric.scale
        tolerance = request.tolerance
        if tolerance is None and (request.mode == "tolerance" or (request.mode == "race" and request.width is None)):
            dense = 1.0 if scale.unit == "fraction" else self._measurement.dense().value
            tolerance = default_tolerance(scale, dense)
        if tolerance is not None and scale.unit == "fraction" and tolerance >= 1:
            raise SecateurError(
                f"a tolerance of {tolerance:g} is all of the {scale.name} and more: it is a fraction, 0.01 is one point"
            )
        sizes = [batches.size(i) for i in range(len(batches))]
        return Search(request.mode, self._cells, scale, sizes, tolerance, request.width)

    def _try_targets(self, missing: Sequence[int]) -> None:
        """Cut each target once, at its highest sparsity: what fails, fails in the first seconds; and tell the cost."""
        batches = self._measurement.batches
        hardest: dict[tuple[str, frozenset[str]], int] = {}
        for p in missing:
            what = self._what(p)
            if what not in hardest or _sparsity(self._cells[p]) > _sparsity(self._cells[hardest[what]]):
                hardest[what] = p
        tried = sorted(p for p in hardest.values() if 0 not in self._known[p])
        if not tried:  # a run that goes on: it has told its cost before
            return
        seconds = self._measure(0, tried)
        per_example = {what: seconds[p] / batches.size(0) for what, p in hardest.items() if p in seconds}
        usual = sum(per_example.values()) / max(1, len(per_example))
        left = [
            (self._what(p), batches.size(i))
            for p in missing if p not in self._failed
            for i in range(len(batches)) if i not in self._known[p] and i not in self._found[p]
        ]  # fmt: skip
        self._on_cost(
            Cost(
                len(self._cells),
                batches.n,
                len(self._cells) * len(batches),
                sum(len(known) for known in self._known),
                sum(per_example.get(what, usual) * size for what, size in left) / self._measurement.n_parallel,
                self._measurement.dense_seconds * len(self._cells) * batches.n / batches.size(0),
            )
        )

    def _what(self, p: int) -> tuple[str, frozenset[str]]:
        """What is computed again for a cell; cells of which this is the same cost the same."""
        return self._cells[p].cut.granularity, self._measurement.maker.parameters(self._plans[p])

    def _measure(self, i: int, positions: Sequence[int]) -> dict[int, float]:
        """Measure cells on one batch; returns the seconds that each took."""
        seconds: dict[int, float] = {}
        key = self._measurement.batches.keys[i]
        for _, p, found in self._measurement.run([(i, [(p, self._plans[p]) for p in positions])] if positions else []):
            if isinstance(found, Failure):
                self._failed[p] = found.reason
            else:
                seconds[p] = found.seconds or 0.0
                self._found[p][i] = found
                self._unsaved.append((self._keys[p], key, found))
            if time.monotonic() - self._saved_at > FLUSH_SECONDS:
                self._save()
        return seconds

    def _tell_dense(self, i: int) -> None:
        if i == self._n_dense:  # batches are reached in order, each for the first time once
            self._measurement.dense_evidence(i)
            self._search.tell_dense(*self._measurement.dense_scores([i]))
            self._n_dense += 1

    def _tell(self, i: int, p: int) -> None:
        """Tell the search what is known of a cell on a batch."""
        self._reused += i in self._known[p]
        self._told[p] += 1
        evidence = self._known[p].get(i) or self._found[p].pop(i, None)
        if p in self._failed or evidence is None:
            self._search.fail(p, self._failed[p])
        elif not np.isfinite(evidence.scores).all():
            n_bad = int((~np.isfinite(evidence.scores)).sum())
            self._search.fail(p, f"{n_bad} of {len(evidence.scores)} scores are NaN or infinite")
        else:
            self._search.tell(p, i, evidence.scores.astype(np.float64), evidence.changed)
            self._risen[p].take(evidence.losses, self._measurement.dense_losses(i))
        self._touched.add(p)

    def _save(self, last: bool = False) -> None:
        """Put what was measured on disk, and tell of cells that know notably more than when they were last told of."""
        if self._unsaved and self._measurement.store:
            self._measurement.store.add_all(self._unsaved)
        self._unsaved.clear()
        self._saved_at = time.monotonic()
        cells: dict[int, CellResult] = {}
        states = [self._search.state(p) for p in range(len(self._cells))]
        for p, progress in enumerate(states):
            before = self._shown.get(p)
            grown = last or progress.state != "open" or before is None or progress.n >= GROWTH * before.n
            # news of one cell may settle another of its target that nobody measured since
            moved = before is not None and progress.state != before.state
            if moved or p in self._full or (grown and p in self._touched):
                self._shown[p] = progress
                cells[p] = self._result(p, progress)
        self._touched -= cells.keys()
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
        seen = [i for i in range(len(self._measurement.batches)) if self._measurement.has_dense(i)]
        if sum(map(self._measurement.batches.size, seen)) < 2:
            return None
        try:
            return self._measurement.dense_estimate(seen)
        except UndefinedMetricError:  # so few examples may all have one label
            return None

    def _result(self, p: int, progress: Progress) -> CellResult:
        cell = replace(self._cells[p], evidence=self._keys[p])
        if p in self._full:
            full = self._full[p]
            return replace(cell, state=full.state, metric=full.metric, drop=full.drop, reason=full.reason)
        if progress.state == "failed":
            return replace(cell, state="failed", reason=progress.reason)
        try:
            metric, drop = self._search.metric(p), self._search.drop(p)
        except UndefinedMetricError as error:
            return replace(cell, state="failed", reason=str(error)) if progress.state == "finished" else cell
        if metric is None or drop is None:
            return cell
        scale = self._measurement.workload.metric.scale
        if metric.high > TOO_LARGE and progress.state == "finished":  # of a few examples the interval may reach far
            return replace(cell, state="failed", reason=f"its {scale.name} is too large to calculate with")
        tolerance = self._search.tolerance if progress.verdict else None
        cell = replace(
            cell, state="measured", metric=metric, drop=drop, stage=STAGES[progress.state],
            verdict=progress.verdict, tolerance=tolerance, loss=self._risen[p].estimate(),
        )  # fmt: skip
        if progress.changed:
            return cell
        reason = f"no output changed on any of {progress.n} examples"
        if cell.n_removed == 0:
            reason = f"{cell.cut.sparsity} of {cell.n_weights} weights rounds to none"
            if cell.cut.granularity == "channel":
                reason = f"{cell.cut.sparsity} of its channels rounds to none"
                if cell.cut.align > 1:
                    reason += f" where a multiple of {cell.cut.align} has to stay"
            if is_pattern(cell.cut.granularity):
                reason = f"{cell.cut.sparsity} of the {cell.cut.granularity} tiles of {cell.n_weights} weights is none"
        return replace(cell, state="no effect", reason=reason)

    def _on_disk(self, key: str) -> dict[int, BatchEvidence]:
        store, keys = self._measurement.store, self._measurement.batches.keys
        known = store.read(key, keys) if store else {}
        return {i: known[batch] for i, batch in enumerate(keys) if batch in known}


def _sparsity(cell: CellResult) -> float:
    return 1.0 if cell.cut.sparsity is None else cell.cut.sparsity
