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
