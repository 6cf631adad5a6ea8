"""What Secateur did to a model since it was loaded, as plain values, so that it can be done again. No torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.errors import SecateurError

StageKind = Literal["recovered", "shrunk"]


@dataclass(frozen=True)
class Stage:
    """One thing that was done to the model of a workload, which gave the model of another.

    Attributes:
        kind: `"recovered"`: pruned and trained in rounds. `"shrunk"`: what a plan cuts was taken out.
        workload: it was done to: a sample's name, a file, or a name given in a script; `None` if nobody kept it.
        model, state: fingerprints of the model that it was done to, and of that one's weights alone.
        rounds: of `"recovered"`, as `core.recovery.making.Making.to_json`; `None` if the checkpoint is from before that
            was kept.
        plan: of `"shrunk"`, as `SparsityPlan.to_document`.
        threads: of `"shrunk"`: that torch added up with; `None` if nobody kept it.
        looked_at: of `"recovered"`: so many examples, from the first of the order on, rounds were judged on; `None` if
            nobody kept it, or no round has a number.
    """

    kind: StageKind
    workload: str | None
    model: str
    state: str
    rounds: tuple[Mapping[str, Any], ...] | None = None
    plan: Mapping[str, Any] | None = None
    threads: int | None = None
    looked_at: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether enough was kept to do it again."""
        return (self.plan if self.kind == "shrunk" else self.rounds) is not None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def stages_from_json(document: Any) -> tuple[Stage, ...]:
    """Inverse of `Stage.to_json` for all that was done to a model; what rounds and plans hold is not looked at.

    Raises:
        SecateurError: it is something else.
    """
    try:
        found = tuple(Stage(**fields) for fields in document)
        if not all(_is_sound(stage) for stage in found):
            raise ValueError
    except (TypeError, ValueError):
        raise SecateurError(
            "what was done to the model before it was cut is told in words that this Secateur does not know; "
            "upgrade secateur, or export the bundle again"
        ) from None
    return found


def _is_sound(stage: Stage) -> bool:
    return (
        stage.kind in ("recovered", "shrunk")
        and all(isinstance(text, str) for text in (stage.model, stage.state))
        and isinstance(stage.workload, str | None)
        and isinstance(stage.rounds, list | tuple | None)
        and isinstance(stage.plan, dict | None)
        and isinstance(stage.threads, int | None)
        and not isinstance(stage.threads, bool)
        and isinstance(stage.looked_at, int | None)
        and not isinstance(stage.looked_at, bool)
        and (stage.looked_at or 0) >= 0
    )
