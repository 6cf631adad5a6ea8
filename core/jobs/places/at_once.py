"""How many cells a worker measures at a time, found by trying on the work itself. No torch."""

from dataclasses import dataclass, field

TURNS = 3  # bundles of each, in turn: what else the machine does falls on all alike
ENOUGH = 0.95  # of the most cells a second: of those that come so near the fewest, which leave room for others


@dataclass
class AtOnce:
    """Tries numbers of cells at a time in turn, and settles for one. No figure hangs on it, only time.

    Args:
        most: that there may be; they, and the powers of two below, are tried.
    """

    most: int
    _told: dict[int, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def tried(self) -> tuple[int, ...]:
        """Numbers that are tried, rising."""
        powers = (2**i for i in range(self.most.bit_length()))
        return tuple(sorted({self.most, *(n for n in powers if n <= self.most)}))

    @property
    def now(self) -> int:
        """The number for the next bundle: in turn, and then the one that was settled for."""
        if not self.is_settled:
            return min(self.tried, key=lambda n: len(self._told.get(n, ())))
        rates = self.rates
        return min((n for n in rates if rates[n] >= ENOUGH * max(rates.values())), default=1)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to try."""
        return len(self.tried) == 1 or all(len(self._told.get(n, ())) >= TURNS for n in self.tried)

    @property
    def rates(self) -> dict[int, float]:
        """Cells a second of each number that was tried."""
        sums = {n: tuple(map(sum, zip(*told, strict=True))) for n, told in self._told.items()}
        return {n: cells / max(seconds, 1e-9) for n, (cells, seconds) in sorted(sums.items())}

    def tell(self, n_cells: int, seconds: float) -> None:
        """A bundle took so long with as many at a time as `now` said; one of fewer cells than that tells nothing."""
        if not self.is_settled and n_cells >= self.now:
            self._told.setdefault(self.now, []).append((n_cells, seconds))

    @property
    def text(self) -> str:
        """What was found, for the log: one sentence without a full stop."""
        found = ", ".join(f"{n} gave {rate:.3g}" for n, rate in self.rates.items())
        return f"{self.now} at a time: cells a second, {TURNS} bundles each: {found}"
