"""Workers that share one workspace: a run offers pieces of its work, they and the run's own worker take them.

Without a worker nothing goes through the database, and the run is what it always was.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from core.jobs.places import board
from core.jobs.places.asked import Asked, Bundle
from core.jobs.places.joined import Company, Joined
from core.jobs.places.pieces import Numbered, Pieces
from core.jobs.places.workers import helpers
from core.plans.plan import SparsityPlan
from core.sensitivity.evidence import BatchEvidence
from core.sensitivity.measuring.elsewhere import Here, Task
from core.sensitivity.measuring.outcome import Failure, Found
from core.sensitivity.measuring.stopping import Cancelled
from core.workspace import Workspace

LOOK_SECONDS = 0.5  # between two looks at who helps
POLL_SECONDS = 0.02  # for an answer
LARGEST, SMALLEST = 1.0, 0.1  # seconds of a bundle: what a worker that dies may cost, and what asking for it is worth
DENSE_TIMES = 3  # a bundle takes at least so many dense passes over its batch, of which each worker makes one as well
SHARE = 2  # of what is left, each who measures is offered one part in so many: the last to end are the smallest
AHEAD = 4  # bundles on offer for each who measures: as many may be done before the first that is waited for
ALONE_SECONDS = 5.0  # of work for each thread between two looks while nobody helps: whoever comes helps after that


@dataclass(frozen=True)
class _Out:
    number: int
    bundle: Bundle

    @property
    def plans(self) -> list[Numbered]:
        return [(number, plan) for number, _, plan in self.bundle.plans]


class Claimed:
    """An `Elsewhere`: processes of `secateur work` on the same workspace.

    Args:
        workspace: of the run.
        asked: how the run's measurement was made, but for what it knows itself.
        origin: JSON, machine and versions that evidence is kept with.
        keep: given who helps, as plain values of `Joined`, whenever that has changed.
        tell: told a line where a worker joins, leaves or died.
        before: those that have helped the run before it was resumed.
    """

    def __init__(
        self,
        workspace: Workspace,
        asked: Asked,
        origin: str | None = None,
        keep: Callable[[Sequence[dict[str, Any]]], None] = lambda who: None,
        tell: Callable[[str], None] = print,
        before: Iterable[Joined] = (),
    ) -> None:
        self._workspace, self._asked, self._origin = workspace, asked, origin
        self._company = Company(workspace, asked.run, tell, keep, before)
        self._offered: Asked | None = None
        self._looked_at = -LOOK_SECONDS
        self._n_helpers = 0
        self._own_threads: int | None = None
        self._per_example: dict[frozenset[str], float] = {}

    def foresee(self, here: Here, replays: bool) -> None:
        """As `Elsewhere.foresee`: workers load, trace and try meanwhile what the run's own worker does."""
        if self._is_helped(here):
            self._offer(here, replays)

    def run(self, here: Here, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `Elsewhere.run`."""
        pieces = self._pieces(here, work)
        out: deque[_Out] = deque()
        found: dict[int, list[tuple[int, Found]]] = {}
        try:
            while True:
                if self._is_helped(here):
                    alone = self._put(here, pieces, out)
                else:
                    alone = pieces.next(ALONE_SECONDS * here.threads.n) if not out else None
                if alone is not None:
                    yield from self._noted(here, alone[0], alone[1], here.run_here([alone]))
                elif not out:
                    return
                else:
                    yield from self._next(here, out, found)
        except Cancelled:  # what was measured is handed over
            for one in out:
                yield from self._noted(here, one.bundle.batch, one.plans, _told(one, found.get(one.number, ())))
            raise
        finally:
            if out:
                board.remove(self._workspace, self._asked.run, [one.number for one in out])

    def close(self) -> None:
        """As `Elsewhere.close`."""
        if self._offered is not None:
            try:
                self._company.look(helpers(self._workspace))
            finally:
                self._offered = None
                board.close_board(self._workspace, self._asked.run)

    def _is_helped(self, here: Here) -> bool:
        """Whether anybody helps; then its own worker leaves them their cores."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            there = helpers(self._workspace)
            found = [one for one in there if not one.stopping and not self._is_refused(one.refused)]
            self._n_helpers = len(found)
            if self._own_threads is None:
                self._own_threads = here.threads.n
            here.threads.resize(max(1, self._own_threads - sum(one.threads for one in found)))
            if self._offered is not None:
                self._company.look(there)
        return self._n_helpers > 0

    def _is_refused(self, refused: str | None) -> bool:
        return refused is not None and refused.startswith(f"run {self._asked.run}: ")

    def _offer(self, here: Here, replays: bool) -> None:
        """Let helpers know of the run."""
        batches = here.batches
        asked = replace(
            self._asked, model=here.model_hash, replays=replays, keys=tuple(batches.keys),
            sizes=tuple(map(batches.size, range(len(batches)))),
            torch_threads=self._offered.torch_threads if self._offered else torch.get_num_threads(),
        )  # fmt: skip
        if asked != self._offered:
            positions = np.concatenate([np.asarray(one, dtype="<i8") for one in batches.positions]).tobytes()
            board.open_board(self._workspace, board.Offer(asked, positions, self._origin))
            self._offered = asked

    def _pieces(self, here: Here, work: Iterable[Task]) -> Pieces:
        """Plans that change the same tensors stay together, so that replay pays; but neighbours of a plan."""
        usual = here.dense_seconds / here.batches.size(0)
        around, changed_by, size = self._asked.around is not None, here.cutting.changed_by, here.batches.size

        def seconds(i: int, plan: SparsityPlan) -> float:
            return (usual if around else self._per_example.get(changed_by(plan), usual)) * size(i)

        def key(one: Numbered) -> Any:
            return one[0] if around else changed_by(one[1])

        return Pieces(work, key, seconds, lambda i: max(SMALLEST, DENSE_TIMES * usual * size(i)))

    def _put(self, here: Here, pieces: Pieces, out: deque[_Out]) -> tuple[int, Sequence[Numbered]] | None:
        """Offer what there is, so much that nobody waits; what is too little to be shared is given back."""
        n = self._n_helpers + 1
        new: list[tuple[int, Sequence[Numbered]]] = []
        while len(out) + len(new) < AHEAD * n and (piece := pieces.next(LARGEST, SHARE * n)) is not None:
            new.append(piece)
        if not out and len(new) == 1 and pieces.ended:
            return new[0]
        if new:
            self._offer(here, here.replays)
            bundles = [Bundle(i, tuple((p, here.cell_key(plan), plan) for p, plan in plans)) for i, plans in new]
            numbers = board.put(self._workspace, self._asked.run, bundles)
            out.extend(map(_Out, numbers, bundles))
        return None

    def _next(
        self, here: Here, out: deque[_Out], found: dict[int, list[tuple[int, Found]]]
    ) -> Iterator[tuple[int, int, Found]]:
        """Hand over what is done, in the order that it was asked for; else do a bundle, or wait a moment for others."""
        here.check()
        run, at = self._asked.run, {one.number: one for one in out}
        for number, answer in board.answers(self._workspace, run, found).items():
            if number in at:
                found[number] = self._answered(here, at[number].bundle, answer)
        done = 0
        while done < len(out) and out[done].number in found:
            done += 1
        if done:
            first = [out[k] for k in range(done)]
            for one in first:
                yield from self._noted(here, one.bundle.batch, one.plans, _told(one, found[one.number]))
                found.pop(one.number)
                out.popleft()
            board.remove(self._workspace, run, [one.number for one in first])
            return
        mine = board.take(self._workspace, run, board.OWN)
        if mine is None:
            time.sleep(POLL_SECONDS)
            return
        one, own = at[mine[0]], found.setdefault(mine[0], [])
        for _, p, what in here.run_here([(one.bundle.batch, one.plans)]):
            own.append((p, what))
        if one is not out[0]:
            self._keep(here, one.bundle, own)

    def _noted(
        self, here: Here, i: int, plans: Sequence[Numbered], coming: Iterable[tuple[int, int, Found]]
    ) -> Iterator[tuple[int, int, Found]]:
        """What is found, and how long it took."""
        by_number = dict(plans)
        for batch, p, one in coming:
            if isinstance(one, BatchEvidence) and one.seconds is not None and self._asked.around is None:
                self._per_example[here.cutting.changed_by(by_number[p])] = one.seconds / here.batches.size(i)
            yield batch, p, one

    def _keep(self, here: Here, bundle: Bundle, found: Sequence[tuple[int, Found]]) -> None:
        """On disk at once: it may be a while until its turn comes to be handed over."""
        if here.store is not None:
            key = {number: key for number, key, _ in bundle.plans}
            batch = here.batches.keys[bundle.batch]
            here.store.add_all((key[p], batch, one) for p, one in found if isinstance(one, BatchEvidence))

    def _answered(self, here: Here, bundle: Bundle, answer: Mapping[str, Any]) -> list[tuple[int, Found]]:
        """What a helper has found of each plan, read from disk; what cannot be read is measured here."""
        assert here.store is not None
        failed, seconds = answer["failed"], answer["seconds"]
        keys = [key for number, key, _ in bundle.plans if str(number) not in failed]
        kept = here.store.on_batch(keys, here.batches.keys[bundle.batch], here.workload.metric.scale)
        lost = [(n, plan) for n, key, plan in bundle.plans if str(n) not in failed and key not in kept]
        again = {n: one for _, n, one in here.run_here([(bundle.batch, lost)])} if lost else {}
        found: list[tuple[int, Found]] = []
        for number, key, _ in bundle.plans:
            if str(number) in failed:
                found.append((number, Failure(failed[str(number)])))
            elif number in again:
                found.append((number, again[number]))
            else:
                found.append((number, replace(kept[key], seconds=seconds.get(str(number)))))
        return found


def _told(one: _Out, found: Iterable[tuple[int, Found]]) -> Iterator[tuple[int, int, Found]]:
    return ((one.bundle.batch, number, what) for number, what in found)
