"""Bundles of cells given to processes elsewhere: who gets which, and what becomes of those of one that dies."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from core.errors import SecateurError
from core.jobs.cluster.bundles import LEAST, Bundle, Bundler, Pace
from core.jobs.cluster.remote_model import Answer, Cell, Setup
from core.sensitivity.measuring.elsewhere import Here, Task
from core.sensitivity.measuring.outcome import Found
from core.sensitivity.measuring.stopping import Cancelled

DEATHS = 3  # of processes at one bundle, or one after the other before they were ready, until the run is given up
WAITING = 2  # bundles made for each process before it asks: it is given one whose batch it knows
AHEAD = 8  # bundles for each process that may be done before an earlier one is
LOOK_SECONDS = 0.1  # between two looks whether somebody asked to stop
PATIENCE_SECONDS = 10.0  # for what is under way once somebody did
QUIET_SECONDS = 30.0  # without a single process, after which somebody should know
FULL_SECONDS = 600.0  # and after which the run is given up: a cluster that is full may be so for days
NAMED = 3  # targets of a bundle that a refusal names


class Died(Exception):  # noqa: N818 - what happened, no error of ours
    """The process that was to answer is gone."""


class Hands(Protocol):
    """Processes that each hold the model. A hand and a ticket are what may be the key of a dictionary."""

    @property
    def n(self) -> int:
        """How many there may be."""

    def start(self, setup: Setup) -> tuple[Any, Any]:
        """A new one, and the ticket of its greeting (`RemoteModel.greet`)."""

    def placed(self, hand: Any) -> bool:
        """Whether its process has begun; else it waits for room."""

    def send(self, hand: Any, cells: Sequence[Cell]) -> Any:
        """Have it measure cells (`RemoteModel.measure`); the ticket of what comes of it."""

    def ready(self, tickets: Sequence[Any], seconds: float) -> Sequence[Any]:
        """The tickets that can be answered; waits for one, so long."""

    def answer(self, ticket: Any) -> Answer:
        """Of a ticket that is ready.

        Raises:
            Died: the process did.
        """

    def stop(self, hand: Any) -> None:
        """End it, whatever it does."""


class Dispatch:
    """Work given to hands; what they find comes in the order that it was asked for.

    Args:
        make: hands, once there is work for them; they are kept.
        setup: what they are told of the driver's model and data, asked for after that.
        tell: told what is waited for, `None` once that is over.
    """

    def __init__(
        self, make: Callable[[], Hands], setup: Callable[[Here], Setup], tell: Callable[[str | None], None]
    ) -> None:
        self._make, self._make_setup, self._tell = make, setup, tell
        self._said: str | None = None
        self._none_since: float | None = None
        self._ready: tuple[Hands, Setup] | None = None
        self._coming: dict[Any, Any] = {}  # ticket of the greeting -> hand
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Bundle]] = {}  # ticket -> who measures what
        self._at: dict[Any, int] = {}  # the batch whose dense values a hand has
        self._not_up = 0
        self._pace: Pace | None = None

    def run(self, here: Here, work: Iterable[Task]) -> Iterator[tuple[int, int, Found]]:
        """As `Elsewhere.run`. What takes less than a second altogether is measured here."""
        if self._pace is None:
            self._pace = Pace(here.dense_seconds / max(1, here.batches.size(0)))
        bundler = Bundler(work, here.cell_key, here.batches.size, self._pace)
        few = bundler.all_within(LEAST)
        if few is not None:
            by_batch: dict[int, list[Any]] = {}
            for cell in few:
                by_batch.setdefault(cell.batch, []).append((cell.number, cell.plan))
            yield from here.run_here(by_batch.items())
            return
        if self._ready is None:
            self._say("starting Ray")
            hands = self._make()
            self._ready = hands, self._make_setup(here)
        n = self._ready[0].n
        waiting: list[Bundle] = []
        done: dict[int, tuple[Bundle, tuple[Found, ...]]] = {}
        due, ended = 0, False
        try:
            while True:
                while due in done:
                    yield from _told(*done.pop(due))
                    due += 1
                while not ended and len(waiting) < WAITING * n and len(done) + len(self._busy) < AHEAD * n:
                    bundle = bundler.next(max(1, n - len(self._busy) - len(waiting)))
                    ended = bundle is None
                    waiting += [] if bundle is None else [bundle]
                if not waiting and not self._busy:
                    if ended:
                        break
                    continue  # all that was out has just been handed over
                self._start(len(waiting) + len(self._busy))
                self._give(waiting)
                here.check()
                self._collect(here, waiting, done, LOOK_SECONDS)
                self._await_one()
        except Cancelled:
            until = time.monotonic() + PATIENCE_SECONDS
            while self._busy and time.monotonic() < until:
                self._collect(here, waiting, done, LOOK_SECONDS)
            for number in sorted(done):
                yield from _told(*done[number])
            raise
        finally:
            for hand, _ in self._busy.values():  # nobody listens any more
                self._end(hand)
            self._busy.clear()

    def close(self) -> None:
        """End all hands."""
        for hand in [*self._coming.values(), *self._idle, *(hand for hand, _ in self._busy.values())]:
            self._end(hand)
        self._coming.clear()
        self._idle.clear()
        self._busy.clear()

    @property
    def _hands(self) -> Hands:
        assert self._ready is not None, "nothing was sent yet"
        return self._ready[0]

    def _start(self, wanted: int) -> None:
        """Have as many hands as there are bundles, as far as there may be so many."""
        assert self._ready is not None
        there = len(self._coming) + len(self._idle) + len(self._busy)
        for _ in range(min(wanted, self._hands.n) - there):
            hand, ticket = self._hands.start(self._ready[1])
            self._coming[ticket] = hand

    def _await_one(self) -> None:
        """Say what the run waits for while there is nobody to measure; give it up where nobody comes."""
        if self._idle or self._busy or not self._coming:
            self._none_since = None
            self._say(None)
        elif any(self._hands.placed(hand) for hand in self._coming.values()):
            self._none_since = None
            self._say("actors of Ray are loading the model")
        else:
            now = time.monotonic()
            self._none_since = self._none_since or now
            if now - self._none_since >= FULL_SECONDS:
                raise SecateurError(
                    f"no actor of Ray could start within {FULL_SECONDS / 60:.0f} min: the cluster is full (`ray "
                    "status` on a node says of what); what was measured is kept: `secateur resume` once there is room, "
                    "or sweep without --ray"
                )
            is_long = now - self._none_since >= QUIET_SECONDS
            full = f"; is the cluster full? The run gives up after {FULL_SECONDS / 60:.0f} min"
            self._say("waiting for Ray to start an actor" + full * is_long)

    def _say(self, what: str | None) -> None:
        if what != self._said:
            self._said = what
            self._tell(what)

    def _give(self, waiting: list[Bundle]) -> None:
        while waiting and self._idle:
            hand = self._idle.pop(0)
            bundle = self._chosen(hand, waiting)
            waiting.remove(bundle)
            self._busy[self._hands.send(hand, bundle.cells)] = hand, bundle
            self._at[hand] = bundle.batches[1]

    def _chosen(self, hand: Any, waiting: Sequence[Bundle]) -> Bundle:
        """First what a dead one has left, for which all after it waits; then what needs no dense pass of its own."""
        others = {batch for one, batch in self._at.items() if one != hand}
        for fits in (
            lambda bundle: bundle.died > 0,
            lambda bundle: bundle.batches[0] == self._at.get(hand),
            lambda bundle: bundle.batches[0] not in others,
        ):
            if (found := next(filter(fits, waiting), None)) is not None:
                return found
        return waiting[0]

    def _collect(
        self, here: Here, waiting: list[Bundle], done: dict[int, tuple[Bundle, tuple[Found, ...]]], seconds: float
    ) -> None:
        for ticket in self._hands.ready([*self._coming, *self._busy], seconds):
            greeted = self._coming.pop(ticket, None)
            hand, bundle = (greeted, None) if greeted is not None else self._busy.pop(ticket)
            try:
                answer = self._hands.answer(ticket)
            except Died as death:
                self._end(hand)
                self._note_death(bundle, str(death))
                waiting[:0] = [] if bundle is None else [bundle]
                continue
            self._idle.append(hand)
            self._not_up = 0
            if answer.error is not None:
                raise SecateurError(answer.error) if answer.mendable else RuntimeError(answer.error)
            if bundle is not None:
                assert self._pace is not None
                self._pace.note(bundle, answer.found, answer.seconds, here.batches.size)
                done[bundle.number] = bundle, answer.found

    def _note_death(self, bundle: Bundle | None, why: str) -> None:
        if bundle is None:
            self._not_up += 1
            if self._not_up >= DEATHS:
                raise SecateurError(
                    f"{DEATHS} actors of Ray died one after the other while they loaded the model ({why}); is there "
                    "memory for so many? Take fewer with --at-once"
                )
            return
        bundle.died += 1
        if bundle.died >= DEATHS:
            targets = list(dict.fromkeys(cell.plan.cuts[0].target for cell in bundle.cells))
            named = ", ".join(targets[:NAMED]) + (f" and {len(targets) - NAMED} more" if len(targets) > NAMED else "")
            raise SecateurError(
                f"{DEATHS} actors of Ray died while they measured cuts of {named} ({why}); what was measured before is "
                "kept. Is memory short? Take fewer with --at-once, or give --memory; or leave them out with --layers"
            )

    def _end(self, hand: Any) -> None:
        self._at.pop(hand, None)
        self._hands.stop(hand)


def _told(bundle: Bundle, found: Sequence[Found]) -> Iterator[tuple[int, int, Found]]:
    for cell, one in zip(bundle.cells, found, strict=True):
        yield cell.batch, cell.number, one
