"""Workers that share one workspace: a run offers bundles of its plans, they and the run's own worker take them.

Without a worker nothing goes through the database, and the run is what it always was.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from core.jobs.places import board
from core.jobs.places.asked import Asked, Bundle
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
DENSE_TIMES = 5  # a bundle takes at least so many dense passes over its batch, which each worker makes again
SHARE = 2  # of what is left, each who measures is offered one part in so many: the last to end are the smallest
Numbered = tuple[int, SparsityPlan]


class Claimed:
    """An `Elsewhere`: processes of `secateur work` on the same workspace.

    Args:
        workspace: of the run.
        asked: how the run's measurement was made, but for what it knows itself.
        origin: JSON, machine and versions that evidence is kept with.
        tell: told a line where a worker died.
    """

    def __init__(
        self, workspace: Workspace, asked: Asked, origin: str | None = None, tell: Callable[[str], None] = print
    ) -> None:
        self._workspace, self._asked, self._origin, self._tell = workspace, asked, origin, tell
        self._offered: Asked | None = None
        self._looked_at, self._n_helpers = -LOOK_SECONDS, 0
        self._own_threads: int | None = None
        self._per_example: dict[frozenset[str], float] = {}

    def run(self, here: Here, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `Elsewhere.run`."""
        for i, plans in work:
            bundles = self._bundles(here, i, plans) if len(plans) > 1 and self._helped(here) else []
            if len(bundles) > 1:
                yield from self._shared(here, i, bundles)
            else:
                yield from here.run_here([(i, plans)])

    def close(self) -> None:
        """As `Elsewhere.close`."""
        if self._offered is not None:
            board.close_board(self._workspace, self._asked.run)
            self._offered = None

    def _helped(self, here: Here) -> bool:
        """Whether anybody helps; then they know of the run, and its own worker leaves them their cores."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            found = [one for one in helpers(self._workspace) if not one.stopping and not self._is_refused(one.refused)]
            self._n_helpers = len(found)
            if self._own_threads is None:
                self._own_threads = here.threads.n
            here.threads.resize(max(1, self._own_threads - sum(one.threads for one in found)))
        if self._n_helpers:
            self._offer(here)
        return self._n_helpers > 0

    def _is_refused(self, refused: str | None) -> bool:
        return refused is not None and refused.startswith(f"run {self._asked.run}: ")

    def _offer(self, here: Here) -> None:
        batches = here.batches
        asked = replace(
            self._asked, model=here.model_hash, replays=here.replays, keys=tuple(batches.keys),
            sizes=tuple(map(batches.size, range(len(batches)))),
            torch_threads=self._offered.torch_threads if self._offered else torch.get_num_threads(),
        )  # fmt: skip
        if asked != self._offered:
            positions = np.concatenate([np.asarray(one, dtype="<i8") for one in batches.positions]).tobytes()
            board.open_board(self._workspace, board.Offer(asked, positions, self._origin))
            self._offered = asked

    def _bundles(self, here: Here, i: int, plans: Sequence[Numbered]) -> list[list[Numbered]]:
        """Plans in parts of about a second; those that change the same tensors together, so that replay pays.

        The first are the largest, and none so small that asking for it would cost more than it is worth.
        """
        groups: dict[Any, list[Numbered]] = {}
        for number, plan in plans:
            key = here.cutting.changed_by(plan) if self._asked.around is None else number
            groups.setdefault(key, []).append((number, plan))
        size = here.batches.size(i)
        usual = here.dense_seconds / here.batches.size(0)
        seconds = {key: self._per_example.get(key, usual) * size * len(group) for key, group in groups.items()}
        least = max(SMALLEST, DENSE_TIMES * usual * size)
        left = sum(seconds.values())
        bundles: list[list[Numbered]] = []
        taken, aim = 0.0, 0.0
        for key, group in groups.items():
            if not bundles or taken + seconds[key] / 2 > aim:
                bundles.append([])
                taken, aim = 0.0, max(least, min(LARGEST, left / (SHARE * (self._n_helpers + 1))))
            bundles[-1] += group
            taken += seconds[key]
            left -= seconds[key]
        return bundles

    def _shared(self, here: Here, i: int, parts: Sequence[Sequence[Numbered]]) -> Iterator[tuple[int, int, Found]]:
        run, keys = self._asked.run, [[here.cell_key(plan) for _, plan in part] for part in parts]
        bundles = [
            Bundle(i, tuple((number, key, plan) for (number, plan), key in zip(part, of, strict=True)))
            for part, of in zip(parts, keys, strict=True)
        ]
        numbers = board.put(self._workspace, run, bundles)
        place = {number: at for at, number in enumerate(numbers)}
        found: dict[int, list[tuple[int, Found]]] = {}
        told, looked = 0, time.monotonic()
        try:
            while told < len(parts):
                here.check()
                for number, answer in board.answers(self._workspace, run).items():
                    if place[number] not in found:
                        found[place[number]] = self._answered(here, bundles[place[number]], answer)
                while told in found:
                    plans = dict(parts[told])
                    for p, one in found.pop(told):
                        yield i, p, self._noted(here, i, plans[p], one)
                    board.remove(self._workspace, run, [numbers[told]])
                    told += 1
                if told == len(parts):
                    return
                if (mine := board.take(self._workspace, run, board.OWN)) is not None:
                    at = place[mine[0]]
                    found[at] = []
                    for _, p, one in here.run_here([(i, parts[at])]):
                        found[at].append((p, one))
                    self._keep(here, i, keys[at], parts[at], found[at])
                    continue
                time.sleep(POLL_SECONDS)
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    for line in board.take_from_the_dead(self._workspace, run):
                        self._tell(f"run {run}: {line}")
        except Cancelled:  # what was measured is handed over
            for at in sorted(found):
                yield from ((i, p, one) for p, one in found[at])
            raise
        finally:
            if told < len(parts):
                board.remove(self._workspace, run, numbers[told:])

    def _noted(self, here: Here, i: int, plan: SparsityPlan, one: Found) -> Found:
        if isinstance(one, BatchEvidence) and one.seconds is not None and self._asked.around is None:
            self._per_example[here.cutting.changed_by(plan)] = one.seconds / here.batches.size(i)
        return one

    def _keep(
        self, here: Here, i: int, keys: Sequence[str], part: Sequence[Numbered], found: Sequence[tuple[int, Found]]
    ) -> None:
        """On disk at once: it may be a while until its turn comes to be handed over."""
        if here.store is not None:
            key = dict(zip((number for number, _ in part), keys, strict=True))
            batch = here.batches.keys[i]
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
