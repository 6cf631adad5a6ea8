"""What became of faults, counted by family and kind of work, as a table."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

COUNTED = ("injected", "lost", "wrong", "stuck", "unsaid")


@dataclass
class Outcomes:
    """Counts by (family, work), what was said, and what went wrong in full.

    Attributes:
        counts: by family and work: faults injected; of these where evidence that was on disk is gone (`lost`), what
            came of the work in the end differs (`wrong`), it could not go on (`stuck`), the user was told nothing, or
            not one line that says what to do (`unsaid`).
        words: by family, what was said, with how often.
        failures: each that is not as promised, in full.
    """

    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    words: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)

    def injected(self, family: str, work: str, n: int = 1) -> None:
        """Count faults."""
        self.counts[family, work]["injected"] += n

    def too_late(self, family: str) -> None:
        """Note a fault that was not injected: what it was to fall into did not come in time, or was over."""
        self.said(family, "came too late")

    def bad(self, what: str, family: str, work: str, why: str) -> None:
        """Note that a promise was not kept; `what` is one of `COUNTED`."""
        self.counts[family, work][what] += 1
        self.failures.append(f"{what}: {family}, {work}: {why}")
        print(f"  ! {self.failures[-1]}", flush=True)

    def said(self, family: str, words: str) -> None:
        """Note what the user was told."""
        self.words[family][words] += 1

    def table(self) -> str:
        """Rows of families and kinds of work, and the sum."""
        width = max((len(f"{family}, {work}") for family, work in self.counts), default=10) + 2
        lines = [f"{'fault, work':{width}}" + "".join(f"{name:>10}" for name in COUNTED)]
        total: Counter[str] = Counter()
        for (family, work), counts in sorted(self.counts.items()):
            total += counts
            lines.append(f"{f'{family}, {work}':{width}}" + "".join(f"{counts[name]:10}" for name in COUNTED))
        lines.append(f"{'all':{width}}" + "".join(f"{total[name]:10}" for name in COUNTED))
        return "\n".join(lines)

    def spoken(self, most: int = 4) -> str:
        """The commonest words of each family."""
        return "\n".join(
            f"{family}: {text[:230]} (× {n})"
            for family, words in sorted(self.words.items())
            for text, n in words.most_common(most)
        )
