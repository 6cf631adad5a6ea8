"""On which examples a chosen plan is judged: on others than it was chosen by. No torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from core.jobs.run import Run
from core.sensitivity.report import SensitivityReport
from core.sensitivity.request import Samples

JUDGED = 2000  # examples on which the few plans that correct a prediction are measured: it costs as much as few cells
FEWEST = 100  # below it is better to use those of the sweep once more, and to say so


@dataclass(frozen=True)
class Part:
    """A part of the evaluation examples, in the order that seed 0 draws.

    Attributes:
        skip: where it begins.
        n: its length.
        unseen: whether nothing was chosen by looking at it.
    """

    skip: int
    n: int
    unseen: bool

    @property
    def samples(self) -> Samples:
        """As a measurement takes it."""
        return self.n


def swept_examples(reports: Iterable[tuple[Run, SensitivityReport]]) -> int:
    """So many examples of the order, from the first on, were looked at by sweeps."""
    return max(
        (max(report.n_examples, report.dense.n if report.dense else 0) for _, report in reports),
        default=0,
    )


def part_after_sweeps(
    reports: Sequence[tuple[Run, SensitivityReport]], n_all: int, wanted: int | None = None, used: int = 0
) -> Part:
    """`judging_part` after what sweeps looked at.

    A sweep of another seed took its examples from an order of its own: some of them are in any part of this one, which
    is then not said to be unseen.

    Args:
        reports: of the sweeps.
        n_all, wanted: as for `judging_part`.
        used: examples of the order that something else was chosen by.
    """
    part = judging_part(max(used, swept_examples(reports)), n_all, wanted)
    return replace(part, unseen=part.unseen and not any(run.request.get("seed") for run, _ in reports))


def judging_part(used: int, n_all: int, wanted: int | None = None) -> Part:
    """The examples after those that were used, or, where those are too few, the first ones again.

    Args:
        used: examples of the order that something was chosen by.
        n_all: examples that there are.
        wanted: at most so many; `None` for `JUDGED`.
    """
    n = min(wanted or JUDGED, n_all - used)
    if n < min(FEWEST, wanted or FEWEST):
        return Part(0, min(n_all, max(used, 2) if wanted is None else wanted), unseen=False)
    return Part(used, n, unseen=True)


def search_part(samples: Samples, n_all: int) -> tuple[int, Part | None]:
    """How many examples a search looks at, and those that its answer is judged on.

    Args:
        samples: as it was asked for; `None` and `"all"` leave a part for judging, where there are enough.
        n_all: examples that there are.

    Returns:
        The number from the first of the order on, and the part after them; `None` where too few are left to judge on.
    """
    if isinstance(samples, int):
        n = samples
    else:
        judged = min(JUDGED, n_all // 3)
        n = n_all - judged if judged >= FEWEST else n_all
    part = judging_part(n, n_all) if n < n_all else None
    return n, part if part is not None and part.unseen else None
