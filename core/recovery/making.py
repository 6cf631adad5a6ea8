"""What made the rounds of a recovery, as plain values: enough to make them again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Making:
    """Consecutive rounds that one request made, by one torch on one machine.

    Attributes:
        request: as `RecoverRequest.to_json`, but for `start`, which is `None`: where there was one, it is the round
            before, and a path says nothing elsewhere.
        key: of the recovery.
        threads: that torch added up with; more of them add up in another order.
        torch: its version.
        machine: the processor's name.
        states: fingerprint of the model's tensors after each of these rounds.
        training: fingerprint of the training data, with what was held back of them; `None` of an older build.
    """

    request: Mapping[str, Any]
    key: str
    threads: int
    torch: str
    machine: str
    states: tuple[str, ...] = ()
    training: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "request": dict(self.request), "states": list(self.states)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Making":
        """Inverse of `to_json`.

        Raises:
            ValueError, TypeError: it is none.
        """
        found = cls(**{**fields, "states": tuple(fields["states"])})
        texts = (found.key, found.torch, found.machine, *found.states, found.training or "")
        if not all(isinstance(text, str) for text in texts) or not isinstance(found.request, Mapping):
            raise ValueError("what made the rounds is told in other types")
        if isinstance(found.threads, bool) or not isinstance(found.threads, int) or not found.states:
            raise ValueError("what made the rounds has no threads, or no rounds")
        return found


Makings = tuple[Making, ...]  # one after the other, from round 1 on


def with_round(before: Makings | None, now: Making, state: str) -> Makings | None:
    """What made the rounds up to now, one more made.

    Args:
        before: of the rounds before; `None` if nobody kept it, and then it stays unknown.
        now: what made the new round, without `states`.
        state: fingerprint of the model after it.
    """
    if before is None:
        return None
    if before and replace(before[-1], states=(), request=now.request) == now:
        return (*before[:-1], replace(before[-1], states=(*before[-1].states, state)))
    return (*before, replace(now, states=(state,)))
