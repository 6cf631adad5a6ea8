"""The fields of what a recovery cuts: a plan or one sparsity of all weights, on which schedule, judged on what."""

import re
from dataclasses import dataclass, replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import numbers
from core.errors import SecateurError
from core.plans.costs.totals import plan_totals
from core.plans.criteria import FACTS
from core.plans.plan import SparsityPlan
from core.plans.repairs import repair_words
from core.plans.schedules import SCHEDULES, Schedule, usual_rounds, usual_rounds_of_plan
from core.recovery.recovery_words import GIVEN, SCHEDULE_WORDS, SPREAD_WORDS
from core.recovery.request import SPREADS, RecoverRequest, Spread
from core.sensitivity.request import Samples
from core.workload.description import Description
from dashboard.frame import workbench

PLAN, ALL, WITHOUT_REPAIR = "the plan being made", "one sparsity of all weights", "its cuts without the repair"
MOST_ROUNDS = 100
EXAMPLE = "such as 50, 75, 90"
AS_TYPED = "as many as typed"
# by which weights can go round after round: what changes the weights that stay leaves nothing to hold
CRITERIA = [name for name, facts in FACTS.items() if "weights" in facts.scores and not facts.updates]


@dataclass(frozen=True)
class Cutting:
    """What stands in the fields.

    Attributes:
        plan: `None` for one sparsity of all weights.
        name: of the schedule, or `GIVEN`.
        initial, final: shares removed, in [0, 1); of a plan `final` is what it removes.
        n: rounds.
        typed: of the schedule `GIVEN` the percentages, as they were typed.
        spread, criterion, samples, device: as a `RecoverRequest` has them.
    """

    plan: SparsityPlan | None
    name: str
    initial: float
    final: float
    n: int
    typed: str
    spread: Spread
    criterion: str
    samples: Samples
    device: str

    def schedule(self) -> Schedule:
        """The schedule of these fields; of a plan, what was typed ends with what the plan removes.

        Raises:
            SecateurError: there is none.
        """
        if self.name != GIVEN:
            return Schedule(self.name, self.initial, self.final, self.n)
        typed = fractions_of(self.typed)
        if self.plan is None:
            return Schedule(GIVEN, given=typed)
        asked = Schedule(GIVEN, given=typed)  # refuses what falls before it is stretched
        return Schedule(GIVEN, given=asked.sparsities(self.final))


def fractions_of(text: str) -> tuple[float, ...]:
    """Fractions in [0, 1) of percentages that somebody typed, between commas, semicolons or spaces.

    Raises:
        SecateurError: none was typed, or something that is no percentage.
    """
    words = re.sub(r"[%,;]", " ", text).split()
    if not words:
        raise SecateurError(f"Type the sparsity after each round in percent, {EXAMPLE}.")
    found = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            raise SecateurError(f"“{word}” is no number; type percentages, {EXAMPLE}.") from None
        if not 0 <= value < 100:
            raise SecateurError(f"{word} % cannot be removed; type percentages of at least 0 and below 100, {EXAMPLE}.")
        found.append(value / 100)
    return tuple(found)


def plan_share(plan: SparsityPlan, found: Description) -> float:
    """Share of the weights that can be cut which a plan removes, in [0, 1]."""
    totals = plan_totals(plan, found)
    return totals.n_removed / max(1, totals.n_weights)


def draw(ref: str, found: Description, more: DeltaGenerator, last: RecoverRequest | None) -> Cutting:
    """The fields; those that few need go into `more`. At first they say what was asked for the last time, if ever."""
    draft = workbench.runs().draft(ref)
    choices = [PLAN, *([WITHOUT_REPAIR] if draft.repair else []), ALL] if draft.cuts else [ALL]
    usual_cut = choices[0] if last is None or last.plan is not None else ALL
    cut = st.segmented_control(
        "Cut", choices, default=usual_cut, required=True, key=f"recover-cut-{ref}-{len(choices)}",
        help="The plan is made on the Tune screen; there is none while it is empty.",
    )  # fmt: skip
    if draft.cuts and draft.repair:
        st.caption(
            f"The plan is {repair_words(draft.repair)}; training starts from the dense weights and needs no repair."
        )
    plan = draft if cut == PLAN else replace(draft, repair=None) if cut == WITHOUT_REPAIR else None
    first = st.container()  # across: its words are longer than a third of the form at 900 px
    second, third = st.columns([2, 3], vertical_alignment="bottom")
    names = [*SCHEDULES, GIVEN]
    name = first.selectbox(
        "Schedule", names, index=names.index("cubic" if last is None else last.schedule.name),
        format_func=SCHEDULE_WORDS.__getitem__, key=f"recover-schedule-{ref}", persist_state="session",
    )  # fmt: skip
    initial, criterion, samples, device = _few(
        ref, found, more, last, has_plan=plan is not None, is_given=name == GIVEN
    )
    typed, final = "", plan_share(plan, found) if plan is not None else 0.0
    if name == GIVEN:
        typed = third.text_input(
            "Sparsity after each round, %", _typed(last), key=f"recover-given-{ref}", persist_state="session",
            help="Never falling. With a plan they are stretched so that the last is what the plan removes.",
        )  # fmt: skip
    elif plan is not None:
        third.caption(f"The plan removes {numbers.share_text(final)} of the weights that can be cut.")
    else:
        final = third.number_input(
            "Final sparsity, %", 0.1, 99.9, _final(last), 1.0, key=f"recover-final-{ref}", persist_state="session"
        ) / 100  # fmt: skip
    usual = usual_rounds(name, initial, final) if plan is None else usual_rounds_of_plan(name, initial, plan)
    if last is not None and (last.schedule.name, last.schedule.initial_sparsity) == (name, initial):
        usual = last.schedule.num_iterations
    n = _rounds(ref, second, name, min(MOST_ROUNDS, usual))
    if name == "one_shot":
        st.caption("Greyed: rounds, for one shot is one round.")
    spread = SPREADS[0]
    if plan is None:
        spread = st.selectbox(
            "Spread over the layers", SPREADS, SPREADS.index(last.spread if last else SPREADS[0]),
            format_func=SPREAD_WORDS.__getitem__, key=f"recover-spread-{ref}",
            persist_state="session", help="Anew in every round, of the weights that training has made by then.",
        )  # fmt: skip
    return Cutting(plan, name, initial, final, n, typed, spread, criterion, samples, device)


def _typed(last: RecoverRequest | None) -> str:
    given = last.schedule.given if last is not None and last.plan is None else ()
    return ", ".join(f"{100 * share:.6g}" for share in given) or "50, 75, 90"


def _final(last: RecoverRequest | None) -> float:
    share = last.schedule.final_sparsity if last is not None and last.plan is None else 0.9
    return min(99.9, max(0.1, 100 * share))


def _rounds(ref: str, place: DeltaGenerator, name: str, usual: int) -> int:
    if name == GIVEN:
        place.text_input("Rounds", AS_TYPED, disabled=True, key=f"recover-rounds-{ref}-{name}")
        return 0
    return place.number_input(
        "Rounds", 1, MOST_ROUNDS, usual, key=f"recover-rounds-{ref}-{name}-{usual}", disabled=name == "one_shot",
        persist_state="session",
    )  # fmt: skip


def greyed_text(has_plan: bool, is_given: bool) -> str:
    """Which of the fields that few need are greyed and why; empty if none is."""
    why = [
        *(["the initial sparsity, for the schedule begins with the first that is typed"] if is_given else []),
        *(["the criterion, for a plan has criteria of its own"] if has_plan else []),
    ]
    return f"Greyed: {'; '.join(why)}." if why else ""


def _few(
    ref: str, found: Description, more: DeltaGenerator, last: RecoverRequest | None, has_plan: bool, is_given: bool
) -> tuple[float, str, Samples, str]:
    a, b, c, d = more.columns(4, vertical_alignment="bottom")
    usual = last or RecoverRequest(ref)
    n = min(usual.samples, found.n_open) if isinstance(usual.samples, int) else found.n_open
    initial = a.number_input(
        "Initial sparsity, %", 0.0, 99.0, 100 * usual.schedule.initial_sparsity, 5.0, key=f"recover-initial-{ref}",
        persist_state="session", disabled=is_given,
        help="The first round goes beyond it: with 50, half of the weights and some go at once.",
    ) / 100  # fmt: skip
    criterion = b.selectbox(
        "Criterion", CRITERIA, index=CRITERIA.index(usual.criterion), key=f"recover-criterion-{ref}",
        persist_state="session", disabled=has_plan,
        help="Which weights of a layer go. A plan has criteria of its own.",
    )  # fmt: skip
    n_judged = c.number_input(
        "Evaluation examples", 2, found.n_open, n, key=f"recover-samples-{ref}",
        persist_state="session", help="Each round is measured on them; fewer make wider intervals.",
    )  # fmt: skip
    device = d.text_input("Device", usual.device, key=f"recover-device-{ref}", persist_state="session")
    if greyed := greyed_text(has_plan, is_given):
        more.caption(greyed)
    return 0.0 if is_given else initial, criterion, "all" if n_judged == found.n_open else n_judged, device
