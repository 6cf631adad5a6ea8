"""Plans that are kept, what was predicted of them, and what measuring them gave. Plain values; no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from core.plans.plan import Form, SparsityPlan
from core.plans.prediction import Prediction
from core.profiling.report import ProfileReport, SpeedRatio, Timing
from core.sensitivity.report import Estimate, State
from core.workload.scale import Scale

# hand: on a screen; file: from outside; limits: every target at its largest sparsity within a tolerance;
# uniform: one sparsity for all; baseline: another allocation to compare with; minimise: the search for the smallest
MadeBy = Literal["hand", "file", "limits", "uniform", "baseline", "anchor", "solver", "minimise", "refine"]
MAKERS: tuple[MadeBy, ...] = get_args(MadeBy)
ID_DIGITS = 8


@dataclass(frozen=True)
class KeptPrediction:
    """What was predicted of a plan before anybody had measured it on that model.

    Attributes:
        value: the prediction.
        model: fingerprint of the dense model that it was made for.
        made: when, seconds since the epoch.
        n_plans: measured plans that the predictor had learned from.
    """

    value: Prediction
    model: str
    made: float
    n_plans: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.value.to_json(), "model": self.model, "made": self.made, "n_plans": self.n_plans}


@dataclass(frozen=True)
class KeptPlan:
    """A plan with what is known of where it comes from.

    Attributes:
        workload: name or path.
        plan: what it cuts.
        made_by: `None` where nobody wrote it down: measured by an older Secateur.
        parent: id of the plan that it was made from, which may have been forgotten; `None` if from none.
        created: when it was first kept, or else measured; seconds since the epoch.
        name, note: a person's.
        goal: what it was made for, as plain values.
        prediction: for the model as it is now; `None` if nobody predicted before it was measured.
    """

    workload: str
    plan: SparsityPlan
    made_by: MadeBy | None
    parent: str | None
    created: float
    name: str | None = None
    note: str | None = None
    goal: Mapping[str, Any] | str | None = None
    prediction: KeptPrediction | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of its cuts: plans that cut the same are one."""
        return self.plan.fingerprint()

    @property
    def id(self) -> str:
        """The first digits of the fingerprint."""
        return self.fingerprint[:ID_DIGITS]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "id": self.id,
            "workload": self.workload,
            "made_by": self.made_by,
            "parent": self.parent,
            "created": self.created,
            "name": self.name,
            "note": self.note,
            "goal": self.goal,
            "prediction": self.prediction.to_json() if self.prediction else None,
            "plan": self.plan.to_document(),
        }


@dataclass(frozen=True)
class PlanResult:
    """What one run measured of a plan in one form.

    Attributes:
        run: its id.
        model: fingerprint of the dense model; `None` where a run of an older Secateur did not say.
        form: `"masked"`: zeros in place. `"shrunk"`: the smaller model itself.
        ended: when the run did, seconds since the epoch.
        scale: how to read the numbers.
        state, reason: as of a cell: `"no effect"` and `"failed"` say why.
        dense: the dense model on the same examples.
        metric, drop: of the pruned model; drop is paired. `None` where it failed.
        n_removed, n_weights: entries that the masks remove, of how many that can be cut.
    """

    run: str
    model: str | None
    form: Form
    ended: float
    scale: Scale
    state: State
    reason: str | None
    dense: Estimate
    metric: Estimate | None
    drop: Estimate | None
    n_removed: int
    n_weights: int


@dataclass(frozen=True)
class MeasuredPlan:
    """A plan beside what measuring it gave.

    Attributes:
        kept: the plan, with the prediction for the model that was measured.
        result: measured on the most examples, of several such the newest.
        profile: the newest one of this plan on this model; `None` if there is none.
    """

    kept: KeptPlan
    result: PlanResult
    profile: ProfileReport | None = None

    @property
    def predicted(self) -> Prediction | None:
        """What was predicted before."""
        return self.kept.prediction.value if self.kept.prediction else None

    @property
    def gap(self) -> float | None:
        """Measured minus predicted drop, in the metric's unit; positive: it was worse than predicted.

        `None` where one of the two is not known; a plan that changed no output has not tried the prediction.
        """
        if self.predicted is None or self.result.drop is None or self.result.state != "measured":
            return None
        return self.result.drop.value - self.predicted.drop

    @property
    def is_inside(self) -> bool | None:
        """Whether the measured drop lies in the predicted interval; `None` where there is no gap."""
        if self.gap is None or self.predicted is None or self.result.drop is None:
            return None
        return self.predicted.drop_low <= self.result.drop.value <= self.predicted.drop_high

    @property
    def timing(self) -> Timing | None:
        """The first of its profile's times of this form, run eagerly."""
        rows = self.profile.timings if self.profile else ()
        return next((row for row in rows if (row.variant, row.engine) == (self.result.form, "eager")), None)

    @property
    def speed(self) -> SpeedRatio | None:
        """How many times as fast as the dense model that is."""
        return self.profile.ratio_of(self.timing) if self.profile and self.timing else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the plan, which stands in `kept`."""
        return {
            **asdict(self.result),
            "gap": self.gap,
            "inside": self.is_inside,
            "timing": asdict(self.timing) if self.timing else None,
            "speed": asdict(self.speed) if self.speed else None,
        }
