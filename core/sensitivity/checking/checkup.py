"""A workload tried before long work: is it the same twice, what can be cut, what will a sweep take. Imports torch."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import SecateurError
from core.numbers import metric_text, milliseconds_text, seconds_text, share_text
from core.plans.plan import WHOLE, Cut, SparsityPlan
from core.pruning.structure import find_structure
from core.sensitivity.cells import plan_cells
from core.sensitivity.forwards.set_aside import set_aside_note
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import Estimate, default_tolerance
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.enough import useful_n
from core.sensitivity.sweep_words import enough_text
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.target import Target
from core.workload.workload import Workload

FEW = 64  # examples that are looked at
LITTLE = 0.5  # of the weights: less than that is said on top
USUAL = 0.5  # sparsity of a cell that is tried


@dataclass(frozen=True)
class Complaint:
    """Something that long work would trip over, or that makes its numbers mean something else.

    Attributes:
        what: was found.
        mend: what to do about it.
        stops: whether nothing can be measured.
    """

    what: str
    mend: str
    stops: bool = False


@dataclass(frozen=True)
class Checkup:
    """What was found.

    Attributes:
        name: of the workload.
        share: of the weights that can be cut, a fraction; `None` where that was not reached.
        notes: what was inferred in loading, `name: what`.
        found: what was tried and went well, in words.
        complaints: what did not.
        seconds: that a sweep of every usual cell on all examples would take, about; `None` where that was not reached.
    """

    name: str
    share: float | None
    notes: tuple[str, ...]
    found: tuple[str, ...]
    complaints: tuple[Complaint, ...]
    seconds: float | None = None

    @property
    def top(self) -> str:
        """The line that says whether to go on."""
        if any(complaint.stops for complaint in self.complaints):
            return f"{self.name} cannot be measured as it is."
        assert self.share is not None
        only = "only " if self.share < LITTLE else ""
        return f"{self.name} can be measured; {only}{share_text(self.share)} of its weights can be cut."

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "top": self.top}


Tell = Callable[["str | Complaint"], None]


def check_up(
    workload: Workload, again: Callable[[], Workload] | None = None, tell: Tell = lambda found: None
) -> Checkup:
    """Try a workload that was loaded and checked.

    Args:
        workload: left as it was.
        again: loads it once more, to see whether that gives the same; `None` where nothing else can come.
        tell: is given each finding and each complaint in the moment in which it is made.
    """
    look = _Look(workload, tell)
    try:
        if again is not None:
            look.loads_alike(again)
        look.targets()
        look.cells()
    except SecateurError as error:
        look.complain(str(error), "see the message; docs/errors.md has each with its mend", stops=True)
    return Checkup(
        workload.name, look.share, workload.notes, tuple(look.found), tuple(look.complaints), look.seconds
    )  # fmt: skip


class _Look:
    def __init__(self, workload: Workload, tell: Tell) -> None:
        self._workload, self._tell = workload, tell
        self.found: list[str] = []
        self.complaints: list[Complaint] = []
        self.share: float | None = None
        self.seconds: float | None = None
        self._targets: tuple[Target, ...] = ()

    def complain(self, what: str, mend: str, stops: bool = False) -> None:
        self.complaints.append(Complaint(what, mend, stops))
        self._tell(self.complaints[-1])

    def went_well(self, what: str) -> None:
        self.found.append(what)
        self._tell(what)

    def loads_alike(self, again: Callable[[], Workload]) -> None:
        """Each run loads the model anew in a process of its own."""
        alike = True
        # before the second loading: that runs the file again, and the source of the first classes is then not found
        before = model_fingerprint(self._workload.model)
        other = again()
        if model_fingerprint(other.model) != before:
            alike = False
            self.complain(
                "loaded twice, the model is another: its weights or settings are drawn at random, or hold an address",
                "load the trained weights; seed what is drawn; keep no counter or cache in an attribute of a module",
                stops=True,
            )
        if other.evaluation.fingerprint() != self._workload.evaluation.fingerprint():
            alike = False
            self.complain(
                "loaded twice, the evaluation data are others: shuffled, split or augmented at random",
                "seed the split, turn augmentation off for evaluation, or keep the data in a file",
                stops=True,
            )
        if alike:
            self.went_well("loaded twice: the same weights and the same data")

    def targets(self) -> None:
        """What can be cut, and why not more."""
        structure = find_structure(self._workload.model, tuple(self._workload.evaluation.inputs))
        self._targets = structure.targets
        n_all = sum(parameter.numel() for parameter in self._workload.model.parameters())
        n_cut = sum(target.n_weights for target in self._targets if target.granularity == "weight")
        self.share = n_cut / max(1, n_all)
        counted = Counter(target.granularity for target in self._targets)
        names = {"weight": "layers", "head": "heads", "kv_group": "key/value groups", "channel": "groups of channels",
                 "block": "blocks"}  # fmt: skip
        self.went_well(
            "can be cut: " + ", ".join(f"{n:,} {names.get(kind, kind)}" for kind, n in counted.items())
            if counted else "can be cut: nothing"
        )  # fmt: skip
        if self.share < LITTLE:
            reasons: Counter[str] = Counter()
            for item in structure.uncuttable:
                reasons[item.reason] += item.n_weights
            why = "; ".join(f"{share_text(n / max(1, n_all))}: {reason}" for reason, n in reasons.most_common(3) if n)
            self.complain(
                f"only {share_text(self.share)} of the {n_all:,} weights can be cut ({why or 'no layer is known'})",
                "`secateur targets` lists every reason; a cut elsewhere changes little of the size",
            )

    def cells(self) -> None:
        """The metric, one cell of each kind, and what all of them would take."""
        workload = self._workload
        with Measurement(workload, None, min(len(workload.evaluation), FEW)) as measurement:
            dense = measurement.dense()
            # said before anything is measured, with the module that is to blame: `HeldModel.seconds_of_a_pass`
            self.went_well("a batch twice: the same outputs, bit for bit")
            n_first = measurement.batches.size(0)
            if n_first > 1:
                self.went_well("an example in two batches: the same outputs, up to rounding")
            self.went_well(f"a batch of {n_first}: {_short_text(measurement.dense_seconds)}")
            self._metric(dense)
            seconds = self._tried(measurement)
            measurement.replay()
            reasons = measurement.full_passes()
            if reasons:
                self.went_well(f"replay: full passes instead, {reasons[0]}")
            else:
                self.went_well("replay: what a cut does not change is computed once")
            n_seen = measurement.batches.n
        request = SweepRequest("", samples="all", channels=False)
        counted = Counter(cell.cut.granularity for cell in plan_cells(self._targets, request))
        n = min(workload.n_open, workload.sweep_examples or workload.n_open)
        self.seconds = sum(seconds.get(kind, 0.0) * number for kind, number in counted.items()) * n / n_seen
        n_cells = sum(counted.values())
        self.went_well(
            f"a sweep: {n_cells:,} cells on {n:,} examples, about {seconds_text(self.seconds)} by full passes, less "
            "where replay works; --mode race or --samples take less"
        )
        scale = workload.metric.scale
        tolerance = default_tolerance(scale, dense.value)
        if (text := enough_text(scale, tolerance, n)) is not None:
            useful = useful_n(scale, tolerance)
            self.complain(text, f"give about {useful:,} examples" if useful else "give more examples")
        else:
            self.went_well(f"examples: {n:,} can tell a drop of {tolerance:g}")
        if (note := set_aside_note(workload)) is not None:
            self.went_well(f"certificates: {note[0].lower()}{note[1:].rstrip('.')}")

    def _metric(self, dense: Estimate) -> None:
        workload = self._workload
        scale = workload.metric.scale
        self.went_well(f"metric: {scale.name} {metric_text(scale, dense.value)} on {dense.n} examples")
        labels = workload.evaluation.labels.flatten()
        if scale.name != "accuracy" or len(labels) != len(workload.evaluation):
            return
        commonest = int(labels.unique(return_counts=True)[1].max()) / len(labels)
        if dense.high < commonest:  # of so few examples: for sure
            self.complain(
                f"the model is right on {share_text(dense.value)} of {dense.n} examples, and always saying the "
                f"commonest class would be on {share_text(commonest)} of all",
                "are labels numbered as in training, and inputs prepared as in training?",
            )

    def _tried(self, measurement: Measurement) -> dict[str, float]:
        """Seconds of a cell of each kind; what fails is told."""
        seconds: dict[str, float] = {}
        for kind in dict.fromkeys(target.granularity for target in self._targets):
            alike = sorted((t for t in self._targets if t.granularity == kind), key=lambda t: t.n_weights)
            target = alike[len(alike) // 2]
            cut = Cut(target.name, kind) if kind in WHOLE else Cut(target.name, kind, USUAL, "magnitude")
            if kind == "channel":
                measurement.structure()
            plan, times = SparsityPlan((cut,)), []
            for _ in range(2):  # the first of a kind warms up, which a sweep of thousands would not pay for each
                began = time.perf_counter()
                outcome = measurement.measure(plan)
                times.append(time.perf_counter() - began)
            seconds[kind] = min(times)
            if outcome.state == "failed":
                self.complain(
                    f"a {kind} cut of {target.name} fails: {outcome.reason}", "leave this kind out of a sweep"
                )
        if seconds:
            self.went_well("a cell of each kind: " + ", ".join(f"{k} {_short_text(s)}" for k, s in seconds.items()))
        return seconds


def _short_text(seconds: float) -> str:
    """A time that may be far below a second."""
    return f"{milliseconds_text(seconds)} ms" if seconds < 1 else seconds_text(seconds)
