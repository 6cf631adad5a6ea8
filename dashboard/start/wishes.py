"""What a person can want of a model, and what each wish presets: their only home. Kept in the workspace, per model."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from core.jobs.drafts import Drafts
from core.plans.costs.left import Kind
from core.plans.plan import Form
from core.sensitivity.request import Mode
from core.workload.description import Description
from core.workload.target import Target
from dashboard.frame import workbench

Name = Literal["smaller", "faster", "matters"]
WISH = "wish"  # key among the rules of a draft
REPAIR = "full"  # least-squares, and batch normalisations where there are any
STEPS, LEAST_STEPS = (8, 4), 4  # widths that engines like; a group is cut so if it holds that many of them


@dataclass(frozen=True)
class Wish:
    """One of the three.

    Attributes:
        name: as it is kept.
        label, icon: on screen.
        words: what is done about it, one line.
        removes: granularities that are swept, as far as the model has them.
        mode: of the sweep.
        cost: that a goal is about; `None` where nothing is looked for.
    """

    name: Name
    label: str
    icon: str
    words: str
    removes: tuple[str, ...]
    mode: Mode
    cost: Kind | None


WISHES: Mapping[Name, Wish] = MappingProxyType(
    {
        "smaller": Wish(
            "smaller",
            "A smaller file",
            ":material/compress:",
            "Takes out channels, neurons and heads until a little more would cost too much.",
            ("channel", "head"),
            "race",
            "parameters",
        ),
        "faster": Wish(
            "faster",
            "A faster model",
            ":material/bolt:",
            "The same for the fewest operations, in widths that engines like; then a clock tells.",
            ("channel", "head"),
            "race",
            "flops",
        ),
        "matters": Wish(
            "matters",
            "To know what matters",
            ":material/grid_on:",
            "A map of what every cut costs: weights of each layer, each attention head.",
            ("weight", "head"),
            "exact",
            None,
        ),
    }
)


def chosen(ref: str) -> Wish | None:
    """What was wanted of a model last, in whichever browser; `None` if nobody has said."""
    name = _kept(ref).get("name")
    return next((wish for wish in WISHES.values() if wish.name == name), None)


def chosen_at(ref: str) -> float:
    """When that was said, in seconds since the epoch; 0 if nobody has."""
    return float(_kept(ref).get("at", 0.0))


def choose(ref: str, name: Name) -> None:
    """Keep a wish; what else a draft is made by stays."""
    drafts = _drafts()
    drafts.save_rules(ref, {**drafts.rules(ref), WISH: {"name": name, "at": time.time()}})


def structured(found: Description) -> tuple[Target, ...]:
    """What can be taken out of a model, so that it gets smaller: groups of channels and neurons, heads."""
    return (*found.channel_targets, *found.head_targets)


def why_not(wish: Wish, found: Description) -> str | None:
    """Why a wish cannot be met by what is known of a model; `None` if it can."""
    if wish.name != "faster" or structured(found) or not found.is_whole:
        return None
    return (
        "No channels, neurons or heads of this model can be taken out, and zeros alone make no model faster in the "
        "usual engines. The Model screen lists the reasons at its end."
    )


def removed(wish: Wish, found: Description) -> list[str]:
    """Granularities that a wish has swept: as far as the model has them; weights where nothing can be taken out."""
    there = {target.granularity for target in found.targets}
    return [name for name in wish.removes if name in there] or [name for name in ("weight",) if name in there]


def repair_of(wish: Wish, found: Description) -> str | None:
    """What makes up for cuts, without training: where something is taken out and there are calibration data.

    At the same drop more goes then: half of fashion-vit's channels cost a fifth of what they cost raw (docs/repair.md).
    """
    return REPAIR if wish.cost is not None and structured(found) and found.n_calibration else None


def cost_of(wish: Wish, found: Description) -> Kind | None:
    """What a goal is about: where nothing can be taken out, zeros make at least a compressed file smaller."""
    return "bytes" if wish.name == "smaller" and not structured(found) else wish.cost


def formats(ref: str, form: Form) -> tuple[str, ...]:
    """Formats beside those that everybody gets: of zeros only a compressed file is smaller."""
    wish = chosen(ref)
    return ("compressed",) if wish is not None and wish.name == "smaller" and form == "masked" else ()


def alignment(wish: Wish, found: Description) -> int:
    """The channels that stay are a multiple of this: for speed what engines like, if the narrowest group has room."""
    if wish.name != "faster":
        return 1
    narrowest = min((group.n_units or 0 for group in found.channel_targets), default=0)
    return next((step for step in STEPS if narrowest >= LEAST_STEPS * step), 1)


def _kept(ref: str) -> Mapping[str, str]:
    kept = _drafts().rules(ref).get(WISH)
    return kept if isinstance(kept, dict) else {}


def _drafts() -> Drafts:
    return Drafts(workbench.runs().workspace)
