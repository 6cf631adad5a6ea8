"""The harm of single cuts, from what the metric says and what the loss says. No torch.

A small cut moves an accuracy by less than its noise, and a solver would take the lucky ones for free. The loss of the
same examples tells them apart, but ranks large cuts less well. So each harm is the average of the two, weighed by how
sure each is: the metric by its interval; the loss by how closely it goes with the metric where both are clear, on a
line between their logarithms that is fitted to the cells of this model.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CLEAR = 3.0  # standard errors from 0 at which a harm or a loss is taken for real
FEWEST = 5  # cells through which a line is drawn
WIDE = math.log(2)  # losses that differ by less than this factor say nothing of how steep the line is
STEEP = (0.5, 2.0)  # between which it is believed, for it is followed to losses below those it was fitted to
TELLING = 0.04  # of the noise's variance: what is less than that apart cannot be told from nothing
LEAST_SPREAD = 0.1  # of the line, relative: never surer than that


@dataclass(frozen=True)
class Seen:
    """What one cell says.

    Attributes:
        harm, error: from the metric, with its standard error.
        loss, loss_error: by how much the loss rose, with its standard error; `None` where it is not known.
    """

    harm: float
    error: float
    loss: float | None = None
    loss_error: float | None = None


def harms(cells: Sequence[Seen]) -> list[tuple[float, float]]:
    """The harm of each cell with its standard error, as the metric says it where that is all there is.

    Harm is negative where a cut helps.
    """
    clear = [
        (math.log(cell.loss), math.log(cell.harm))
        for cell in cells
        if cell.loss is not None and cell.loss_error is not None
        if cell.harm > CLEAR * cell.error and cell.loss > CLEAR * cell.loss_error
    ]
    if len(clear) < FEWEST:
        return [(cell.harm, cell.error) for cell in cells]
    x, y = np.array(clear).T
    steep = float(np.polyfit(x, y, 1)[0]) if np.ptp(x) > WIDE else 1.0
    steep = min(max(steep, STEEP[0]), STEEP[1]) if steep > 0 else steep
    offset = float(np.mean(y - steep * x))
    spread = max(LEAST_SPREAD, float(np.std(y - steep * x - offset)))
    floor = _floor(cells, steep, offset)
    return [_combined(cell, steep, offset, spread, floor) for cell in cells]


def _said(loss: float, error: float, steep: float, offset: float) -> float:
    """What the line says of a loss."""
    size = max(abs(loss), error, 1e-12)
    return math.copysign(math.exp(offset + steep * math.log(size)), loss) if loss else 0.0


def _floor(cells: Sequence[Seen], steep: float, offset: float) -> float:
    """How far, as a standard deviation, metric and line lie apart for cuts that do little, beyond the metric's noise.

    The line is followed to losses near 0, where it would be sure to be right however little the two have to do with one
    another there; a solver looks for just the cuts of which it says too little.
    """
    mild = [cell for cell in cells if cell.loss is not None and cell.error > 0 and cell.harm <= CLEAR * cell.error]
    if len(mild) < FEWEST:
        return 0.0
    apart = [
        (cell.harm - _said(cell.loss or 0.0, cell.loss_error or 0.0, steep, offset)) ** 2 - cell.error**2
        for cell in mild
    ]
    noise = float(np.mean([cell.error**2 for cell in mild]))
    return math.sqrt(max(float(np.mean(apart)), TELLING * noise))


def _combined(cell: Seen, steep: float, offset: float, spread: float, floor: float) -> tuple[float, float]:
    if cell.loss is None or cell.loss_error is None or steep <= 0:
        return cell.harm, cell.error
    size = max(abs(cell.loss), cell.loss_error, 1e-12)
    said = _said(cell.loss, cell.loss_error, steep, offset)
    told_error = math.hypot(abs(said) * math.hypot(spread, steep * cell.loss_error / size), floor)
    by_metric, by_loss = 1 / max(cell.error, 1e-9) ** 2, 1 / max(told_error, 1e-9) ** 2
    both = by_metric + by_loss
    return (by_metric * cell.harm + by_loss * said) / both, both**-0.5
