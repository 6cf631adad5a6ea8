"""The sparsity plan: which target is cut, how much, by which criterion. A JSON file; no torch needed."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from core.bounded import parse_json, read_text
from core.errors import SecateurError, shortened
from core.plans.checked import checked_align, checked_sparsity
from core.plans.criteria import DEFAULT_CRITERION as DEFAULT_CRITERION
from core.plans.criteria import checked_criterion, fitting
from core.plans.patterns import EXPECTED, is_pattern, parse_pattern
from core.plans.repairs import checked_repair
from core.shown import Shown
from core.workload.target import Granularity, Target

FORMAT = "secateur.plan"
VERSION = 1
MOST_CUTS = 200_000  # lines: more than any model has targets
WITH_REPAIR = 2  # version of plans with a repair: who does not know it must refuse them, not leave it out
Form = Literal["masked", "shrunk"]  # of a cut model: zeros in place, same shapes; or physically smaller
FRACTIONAL: tuple[Granularity, ...] = ("weight", "channel")  # any fraction of them can go
HEADS: tuple[Granularity, ...] = ("head", "kv_group")
WHOLE: tuple[Granularity, ...] = (*HEADS, "block")  # all or nothing
STRUCTURED: tuple[Granularity, ...] = ("channel", *WHOLE)  # what can be taken out, and not only be zero


@dataclass(frozen=True, order=True)
class Cut:
    """One line of a plan.

    Attributes:
        target: name of the target.
        granularity: `"weight"`: a fraction of the entries goes. `"channel"`: a fraction of the channels of a coupled
            group goes, in all its layers. `"head"`, `"kv_group"`: the head goes, or the key/value head with all query
            heads that share it. `"block"`: the block is skipped; what comes in goes out. A pattern such as `"2:4"` or
            `"4x4"`: the entries of a weight go in groups or in tiles, see `core.plans.patterns`.
        sparsity: fraction removed, in [0, 1); `None` for a head or a block, which goes whole. Of tiles, the fraction
            of them; of `"N:M"` 1 - N/M, which need not be given.
        criterion: how the entries are chosen, a name in `core.plans.criteria`; `None` for a head or a block.
        align: the number of channels that stay is a multiple of this; 1 for all but channels.
    """

    target: str
    granularity: Granularity = "weight"
    sparsity: float | None = None
    criterion: str | None = None
    align: int = 1

    def __post_init__(self) -> None:
        checked_align(self.align, f" of {self.target}")
        if self.align > 1 and self.granularity != "channel":
            raise SecateurError(f"align of {self.target} is for channels; a {self.granularity} cut has none")
        if self.granularity in WHOLE:
            if self.sparsity is not None or self.criterion is not None:
                what = self.granularity
                raise SecateurError(f"{what} {self.target} goes whole: a {what} cut has no sparsity and no criterion")
            return
        if self.granularity not in FRACTIONAL and not is_pattern(self.granularity):
            known = ", ".join((*FRACTIONAL, *WHOLE))
            raise SecateurError(
                f"granularity of {self.target} must be one of {known}, or a pattern, {EXPECTED}; "
                f"got {self.granularity!r}"
            )
        object.__setattr__(self, "sparsity", self._implied_sparsity())
        object.__setattr__(
            self, "criterion", DEFAULT_CRITERION if self.criterion is None else checked_criterion(self.criterion)
        )

    def _implied_sparsity(self) -> float:
        implied = parse_pattern(self.granularity).sparsity if is_pattern(self.granularity) else None
        if implied is not None and self.sparsity is None:
            return implied
        given = checked_sparsity(self.sparsity, f" of {self.target}")
        if implied is not None and abs(given - implied) > 1e-6:
            raise SecateurError(
                f"sparsity of {self.target} is {implied:g}, for {self.granularity} says so; got {given:g}. "
                "Leave it out, or choose another pattern"
            )
        return given if implied is None else implied

    @property
    def curve(self) -> str:
        """Name of what cuts that differ in sparsity alone have in common: the target, and how and by what it is cut."""
        by = f" by {self.criterion}" if self.criterion not in (None, DEFAULT_CRITERION) else ""
        if self.granularity == "weight":
            return f"{self.target}{by}"
        name = f"channels of {self.target}" if self.granularity == "channel" else f"{self.target} {self.granularity}"
        return f"{name}{by}"


@dataclass(frozen=True)
class SparsityPlan(Shown):
    """What a person decided to cut. Immutable; equal plans are equal, whatever the order they were made in.

    Attributes:
        cuts: sorted, at most one per granularity and target; where several meet in a tensor, an entry stays if all
            keep it. A cut of sparsity 0 is left out: it is no cut.
        workload: name or path of the workload that it was made for; a note, not a condition, and no part of equality.
        repair: what makes up for the cuts without training, a name in `core.plans.repairs`; `None` for nothing.
    """

    cuts: tuple[Cut, ...] = ()
    workload: str | None = field(default=None, compare=False)
    repair: str | None = None

    def __post_init__(self) -> None:
        checked_repair(self.repair)
        kept = sorted(cut for cut in self.cuts if cut.sparsity != 0)
        named = [(cut.granularity, cut.target) for cut in kept]
        if len(set(named)) < len(named):
            doubled = min(name for name, n in Counter(named).items() if n > 1)
            raise SecateurError(f"the plan names {shortened(doubled[1])} twice; keep one line per target")
        object.__setattr__(self, "cuts", tuple(kept))

    @classmethod
    def patterned(
        cls,
        targets: Iterable[Target],
        pattern: str,
        sparsity: float | None = None,
        criterion: str = DEFAULT_CRITERION,
        workload: str | None = None,
    ) -> "SparsityPlan":
        """The same pattern for every weight target that can have it by this criterion; others are left alone.

        Args:
            targets: of the model.
            pattern: as `parse_pattern` reads it.
            sparsity: fraction of the tiles, in [0, 1); `None` for `N:M`.
            criterion: of the cuts.
            workload: a note.
        """
        parsed = parse_pattern(pattern)
        able = [target for target in targets if target.granularity == "weight" and parsed.why_not(target) is None]
        able = fitting(criterion, able, lambda target: pattern)
        return cls(tuple(Cut(target.name, pattern, sparsity, criterion) for target in able), workload)

    @classmethod
    def uniform(
        cls, targets: Iterable[Target], sparsity: float, criterion: str = DEFAULT_CRITERION, workload: str | None = None
    ) -> "SparsityPlan":
        """The same sparsity, in [0, 1), for every weight target that the criterion fits; heads are left alone."""
        checked_sparsity(sparsity)
        weights = fitting(criterion, (target for target in targets if target.granularity == "weight"))
        return cls(tuple(Cut(target.name, "weight", sparsity, criterion) for target in weights), workload)

    @property
    def forms(self) -> tuple[Form, ...]:
        """Forms that its model can have: a skipped block has no masked one, single weights cannot be taken out."""
        kinds = {cut.granularity for cut in self.cuts}
        masked: tuple[Form, ...] = () if "block" in kinds else ("masked",)
        return (*masked, "shrunk") if kinds.intersection(STRUCTURED) else masked

    def with_cut(self, cut: Cut) -> "SparsityPlan":
        """The plan with one line added or replaced."""
        others = (c for c in self.cuts if (c.granularity, c.target) != (cut.granularity, cut.target))
        return replace(self, cuts=(*others, cut))

    def sparsity_of(self, target: str) -> float:
        """Fraction of a weight target's entries that the plan removes; 0 when the plan leaves it alone."""
        return next((c.sparsity or 0.0 for c in self.cuts if c.granularity == "weight" and c.target == target), 0.0)

    def fingerprint(self) -> str:
        """Hash of the cuts and the repair; without a repair of the cuts alone, and what cuts nothing has none."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:  # of hundreds of lines it takes a millisecond, and a book of plans asks for all
        cuts: Any = [_cut_to_json(cut) for cut in self.cuts]
        repaired = {"cuts": cuts, "repair": self.repair} if cuts and self.repair else cuts
        return hashlib.sha256(json.dumps(repaired).encode()).hexdigest()

    def to_document(self) -> dict[str, Any]:
        """The plan as plain values, versioned."""
        return {
            "format": FORMAT,
            "version": WITH_REPAIR if self.repair else VERSION,
            "workload": self.workload,
            **({"repair": self.repair} if self.repair else {}),
            "cuts": [_cut_to_json(cut) for cut in self.cuts],
        }

    def to_json(self) -> str:
        """The plan file: `to_document` as indented JSON, the same text for equal plans."""
        return json.dumps(self.to_document(), indent=2) + "\n"

    @classmethod
    def from_document(cls, document: Any) -> "SparsityPlan":
        """Inverse of `to_document`.

        Raises:
            SecateurError: not a plan, from a newer version, or a line that is no cut.
        """
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise SecateurError(f'a plan is a JSON object with "format": "{FORMAT}"; make one with `secateur plan`')
        version, repair = document.get("version"), document.get("repair")
        if version not in (VERSION, WITH_REPAIR) or isinstance(version, bool):
            raise SecateurError(
                f"the plan is of version {version!r}, this Secateur reads {VERSION} and {WITH_REPAIR}; upgrade secateur"
            )
        if repair is not None and version != WITH_REPAIR:
            raise SecateurError(
                f'a plan with a repair is of version {WITH_REPAIR}, this one says {version}; set "version": '
                f"{WITH_REPAIR}, or leave the repair out"
            )
        cuts, workload = document.get("cuts"), document.get("workload")
        if isinstance(cuts, list) and len(cuts) > MOST_CUTS:
            raise SecateurError(f"the plan has {len(cuts):,} lines; a plan has at most {MOST_CUTS:,}, one per target")
        if not isinstance(cuts, list) or not isinstance(workload, str | None):
            raise SecateurError('the plan must hold a list "cuts" and a string or null "workload"')
        return cls(tuple(_cut_from_json(i, fields) for i, fields in enumerate(cuts)), workload, repair)

    @classmethod
    def from_json(cls, text: str) -> "SparsityPlan":
        """Inverse of `to_json`; the errors of `from_document`, and one for what is not JSON."""
        try:
            document = parse_json(text, "the plan")
        except SecateurError as error:
            raise SecateurError(f"{error}; make one with `secateur plan`") from None
        return cls.from_document(document)

    @classmethod
    def read(cls, path: Path) -> "SparsityPlan":
        """The plan in a file; the errors of `from_json`, with the file's name."""
        text = read_text(path, "the plan")
        try:
            return cls.from_json(text)
        except SecateurError as error:
            raise SecateurError(f"{shortened(str(path))}: {error}") from None


def _cut_to_json(cut: Cut) -> dict[str, Any]:
    if cut.granularity in WHOLE:
        return {"target": cut.target, "granularity": cut.granularity}
    how = {"criterion": cut.criterion, "sparsity": cut.sparsity}
    aligned = {"align": cut.align} if cut.align > 1 else {}
    return {"target": cut.target, "granularity": cut.granularity, **how, **aligned}


def _cut_from_json(index: int, fields: Any) -> Cut:
    known = {"target", "granularity", "criterion", "sparsity", "align"}
    if not isinstance(fields, dict) or not isinstance(fields.get("target"), str) or set(fields) - known:
        raise SecateurError(
            f"line {index + 1} of the plan's cuts must be an object with {sorted(known)}, got {shortened(repr(fields))}"
        )
    if not isinstance(fields.get("criterion"), str | None):
        raise SecateurError(f"criterion of {fields['target']} must be a name, got {fields['criterion']!r}")
    granularity, sparsity = fields.get("granularity", "weight"), fields.get("sparsity")
    return Cut(fields["target"], granularity, sparsity, fields.get("criterion"), fields.get("align", 1))
