"""Rounds of a recovery done again, in a temporary folder, as what made them says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from core.drafted import scratch
from core.errors import SecateurError
from core.recovery.history import Round
from core.recovery.making import Making, Makings
from core.recovery.recovered import recovered
from core.recovery.reproduction.otherwise import otherwise_recovered
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.recovery.rounds import Recovery
from core.sensitivity.measuring.measurement import Measurement
from core.workload.identity.origin import Stage
from core.workload.workload import Workload

MOST_THREADS = 1024  # a manifest can name any number, and so many would start


def recovered_again(
    workload: Workload, stage: Stage, on_phase: Callable[[str], None] = lambda phase: None
) -> tuple[Workload, str | None, tuple[str, ...]]:
    """Recover a model as it was recovered before.

    Args:
        workload: with the model that the first round began with.
        stage: `"recovered"`, with its rounds.
        on_phase: told which round is being done.

    Returns:
        The workload of the last round; the first round after which the weights are others, in words, `None` if none is;
        and what is known to be otherwise.

    Raises:
        SecateurError: the request is none, or cannot be done with this workload.
    """
    makings = _makings(stage)
    n_rounds, done, otherwise = sum(len(making.states) for making in makings), 0, list[str]()
    with scratch() as folder:
        start: str | None = None
        for i, making in enumerate(makings):
            request, place = _request(making, start), Path(folder, str(i))
            otherwise += otherwise_recovered(making)

            def on_round(history: tuple[Round, ...], place: Path = place) -> None:
                path_of(place, len(history) - 1).unlink(missing_ok=True)  # one is enough to go on from
                if len(history) < n_rounds:
                    on_phase(f"recovering, round {len(history) + 1} of {n_rounds}")

            if i == 0:
                on_phase(f"recovering, round 1 of {n_rounds}")
            with (
                threads(making.threads),
                Measurement(workload, None, request.samples, device=request.device, part="whole") as measurement,
            ):
                recovery = Recovery(measurement, request, place, on_round=on_round)
                if start is None and recovery.key != making.key:
                    otherwise.append("the data, the settings or the code of the recovery")
                done += len(making.states)
                recovery.run(done)
            start = str(path_of(place, done))
        again = recovered(workload, start or "")
    return again, _first_other(makings, _makings(again.origin[-1])), tuple(otherwise)


def _makings(stage: Stage) -> Makings:
    try:
        found = tuple(Making.from_json(fields) for fields in stage.rounds or ())
        if not found:
            raise ValueError("there is no round")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise SecateurError(f"the bundle does not say how its model was recovered ({error}); export it again") from None
    return found


def _request(making: Making, start: str | None) -> RecoverRequest:
    try:
        return replace(RecoverRequest.from_json(dict(making.request)), start=start)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, SecateurError):
            raise
        raise SecateurError(f"the bundle holds no request of a recovery ({error}); export it again") from None


def _first_other(then: Makings, now: Makings) -> str | None:
    pairs = zip(*([state for making in makings for state in making.states] for makings in (then, now)), strict=True)
    number = next((n for n, (one, two) in enumerate(pairs, start=1) if one != two), None)
    return None if number is None else f"round {number} of the recovery"


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Let torch add up with as many threads as then; `None` leaves their number alone.

    Raises:
        SecateurError: nobody has so many.
    """
    if n is not None and not 1 <= n <= MOST_THREADS:
        raise SecateurError(f"expected 1 to {MOST_THREADS} threads, the bundle says {n}; export it again")
    before = torch.get_num_threads()
    try:
        if n is not None:
            torch.set_num_threads(n)
        yield
    finally:
        torch.set_num_threads(before)
