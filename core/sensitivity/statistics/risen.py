"""How much the loss rose with a cut: paired differences, summed up batch by batch."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes 0.3 s to import and asks the same function

from core.sensitivity.report import Estimate


class Risen:
    """Mean of the paired differences of losses, cut less dense, with Student's 95 % interval."""

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0
        self._whole = True

    def take(self, losses: NDArray[np.float32] | None, dense: NDArray[np.float32] | None) -> None:
        """Take in a batch, (n,) each; one without losses leaves the mean of all examples unknown."""
        if losses is None or dense is None:
            self._whole = False
            return
        found = losses.astype(np.float64) - dense
        # Chan's update: sums of squares would cancel where the differences are small beside their mean
        n, mean = len(found), float(found.mean())
        total, apart = self._n + n, mean - self._mean
        self._squares += float(((found - mean) ** 2).sum()) + apart**2 * self._n * n / total
        self._mean += apart * n / total
        self._n = total

    def estimate(self) -> Estimate | None:
        """Of all that was taken; `None` if a batch had no losses, or there are fewer than two examples."""
        if not self._whole or self._n < 2:
            return None
        reach = float(stdtrit(self._n - 1, 0.975)) * math.sqrt(self._squares / (self._n - 1) / self._n)
        return Estimate(self._mean, self._mean - reach, self._mean + reach, self._n)


class RisenOfStrata:
    """As `Risen`, of examples that come in the order of a census: what it chose stands for itself alone.

    Args:
        likely: which examples are read whole, bool (n,), in their order.
        n_random: so many, from the first on, are a random sample of all.
        n_whole: after so many all that are likely were read.
    """

    def __init__(self, likely: NDArray[np.bool_], n_random: int, n_whole: int) -> None:
        self._likely, self._n_random, self._n_whole, self._told = likely, n_random, n_whole, 0
        self._all, self._first, self._chosen, self._rest = (Risen() for _ in range(4))

    def take(self, losses: NDArray[np.float32] | None, dense: NDArray[np.float32] | None) -> None:
        """As `Risen.take`, of the next batch."""
        self._all.take(losses, dense)
        if losses is None or dense is None:
            return
        chosen = self._likely[self._told : self._told + len(losses)]
        if self._told < self._n_random:
            self._first.take(losses, dense)
        for risen, of in ((self._chosen, chosen), (self._rest, ~chosen)):
            if of.any():
                risen.take(losses[of], dense[of])
        self._told += len(losses)

    def estimate(self) -> Estimate | None:
        """Of all examples, from those that were taken; `None` as there."""
        whole = self._all.estimate()
        if whole is None or self._told == len(self._likely):
            return whole
        if self._told < self._n_whole:
            return self._first.estimate()
        chosen, rest, share = self._chosen.estimate(), self._rest.estimate(), float(self._likely.mean())
        if chosen is None or rest is None:
            return self._first.estimate()
        value = share * chosen.value + (1 - share) * rest.value
        reach = math.hypot(share * (chosen.high - chosen.value), (1 - share) * (rest.high - rest.value))
        return Estimate(value, value - reach, value + reach, self._told)
