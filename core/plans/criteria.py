"""What is known of every criterion without a model: meaning, paper, needs, and where it has no meaning. No torch.

The functions themselves are in `core.pruning.criteria.registry`; both have the same names.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from core.errors import SecateurError
from core.plans.patterns import is_pattern, parse_pattern
from core.workload.target import READING_INPUTS, Granularity, Target

DEFAULT_CRITERION = "magnitude"
Needs = Literal["weights", "calibration", "loss"]
Kind = Literal["weights", "channels", "heads"]


@dataclass(frozen=True)
class CriterionFacts:
    """A criterion, for a menu and for whoever checks a request.

    Attributes:
        meaning: one line, without a full stop.
        paper: authors and year.
        source: arXiv number or DOI.
        scores: what it can rank: single weights and patterns, channels, heads.
        needs: `"weights"`: the weights alone. `"calibration"`: calibration examples too. `"loss"`: those, and a metric
            that has a loss, for gradients.
        multiplies: it looks at what a weight is multiplied with, so that it fits linear and convolutional layers only.
        by_row: every output loses the same share of its weights; else all weights of a layer are compared.
        updates: it changes the weights that stay.
        nested: what it removes at a sparsity it removes at every higher one too.
    """

    meaning: str
    paper: str
    source: str
    scores: tuple[Kind, ...] = ("weights", "channels", "heads")
    needs: Needs = "weights"
    multiplies: bool = False
    by_row: bool = False
    updates: bool = False
    nested: bool = True


FACTS: Mapping[str, CriterionFacts] = MappingProxyType(
    {
        "magnitude": CriterionFacts(
            "absolute value (L1); of channels and heads the sum", "Han et al. 2015", "arXiv:1506.02626"
        ),
        "l2": CriterionFacts(
            "square (L2): single weights go as by magnitude, tiles, channels and heads do not",
            "Li et al. 2016", "arXiv:1608.08710",
        ),
        "random": CriterionFacts(
            "drawn from the seed: what any other criterion has to beat", "Blalock et al. 2020", "arXiv:2003.03033"
        ),
        "taylor": CriterionFacts(
            "squared change of the loss, to first order: (gradient × weight)² of small batches, averaged",
            "Molchanov et al. 2019", "arXiv:1906.10771", needs="loss",
        ),
        "snip": CriterionFacts(
            "sensitivity of the connection: |gradient × weight| of all calibration data at once",
            "Lee et al. 2019", "arXiv:1810.02340", needs="loss",
        ),
        "fisher": CriterionFacts(
            "optimal brain damage: ½ F w², F the diagonal Fisher information from the gradients of single examples",
            "LeCun et al. 1990; Theis et al. 2018", "arXiv:1801.05787", needs="loss",
        ),
        "wanda": CriterionFacts(
            "|weight| × norm of what it is multiplied with; every output loses the same share",
            "Sun et al. 2023", "arXiv:2306.11695", ("weights", "heads"), "calibration", multiplies=True, by_row=True,
        ),
        "sparsegpt": CriterionFacts(
            "optimal brain surgeon, column by column: what stays is changed to make up for what goes",
            "Frantar & Alistarh 2023", "arXiv:2301.00774", ("weights",), "calibration",
            multiplies=True, updates=True, nested=False,
        ),
        "head_gradient": CriterionFacts(
            "how much the loss of an example depends on the head: |output · gradient|, averaged",
            "Michel et al. 2019", "arXiv:1905.10650", ("heads",), "loss",
        ),
        "bn_scale": CriterionFacts(
            "scale of the batch normalisation behind the channel", "Liu et al. 2017", "arXiv:1708.06519", ("channels",)
        ),
        "fpgm": CriterionFacts(
            "distance from the other filters: one near their geometric median can be replaced by them",
            "He et al. 2019", "arXiv:1811.00250", ("channels",),
        ),
        "apoz": CriterionFacts(
            "share of activations that are not zero where the channel is read",
            "Hu et al. 2016", "arXiv:1607.03250", ("channels",), "calibration",
        ),
    }
)  # fmt: skip
_SCORED: Mapping[str, Kind] = MappingProxyType({"channel": "channels", "head": "heads", "kv_group": "heads"})


def checked_criterion(name: Any) -> str:
    """`name` as given.

    Raises:
        SecateurError: there is no such criterion.
    """
    if not isinstance(name, str) or name not in FACTS:
        raise SecateurError(f"no criterion {name!r}; choose one of {sorted(FACTS)}")
    return name


def why_not(name: str, target: Target, granularity: Granularity | None = None) -> str | None:
    """Why a criterion has no meaning for a target, one sentence without a full stop; `None` if it has.

    What shows only with the model and its data at hand (no activation of it is ever zero, no gradient reaches it) is
    not known here.

    Args:
        name: of the criterion.
        target: a layer, a coupled group, or a head to choose among the heads of its attention.
        granularity: in which it is cut, if that is a pattern; `None` for the target's own.
    """
    facts, cut_as = FACTS[checked_criterion(name)], granularity or target.granularity
    kind: Kind = _SCORED.get(cut_as, "weights")
    if target.granularity == "block":
        return f"{target.name} is a block, which goes whole: no criterion chooses anything in it"
    if kind not in facts.scores:
        return f"{name} is a criterion for {' and '.join(facts.scores)}, not for the {kind} of {target.name}"
    if name == "bn_scale" and not any(member.role == "norm" for member in target.members):
        return f"no batch normalisation scales the channels of {target.name}, so they have no bn_scale"
    if not facts.multiplies or kind != "weights":
        return None
    if facts.updates and is_pattern(cut_as) and parse_pattern(cut_as).is_tiles:
        return f"{name} goes column by column through the weights of {target.name}, and knows no tiles"
    if target.layout == "looked_up" and not target.shared_with:
        return f"{target.name} is an embedding: it looks rows up and multiplies nothing, which {name} asks for"
    if target.is_recurrent and target.parameter.rpartition(".")[2] not in READING_INPUTS:
        return f"{target.name} reads what its own layer has made, of which {name} sees nothing"
    if target.layout == "inputs_first":
        return f"{target.name} is a transposed convolution, of whose inputs {name} says nothing"
    if target.layout == "experts":
        return f"{target.name} holds the weights of several experts, of whose inputs {name} says nothing"
    if target.layout == "two_inputs":
        return f"{target.name} is bilinear: its weights multiply products of two inputs, of which {name} says nothing"
    return None


def fitting(
    name: str,
    targets: Iterable[Target],
    granularity: Callable[[Target], Granularity] = lambda target: target.granularity,
) -> list[Target]:
    """The targets for which a criterion has a meaning, in the order given.

    Args:
        name: of the criterion.
        targets: any.
        granularity: in which each would be cut.
    """
    return [target for target in targets if why_not(name, target, granularity(target)) is None]
