"""The census of a measurement's examples: how sure the dense model is of each decides in which order they are read."""

from dataclasses import dataclass

import numpy as np

from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import Estimate
from core.sensitivity.search.census import FIRST_OF_RACE, FIRST_OF_SEARCH, LEAST_BATCHES, Census, interleaved, planned
from core.sensitivity.statistics.intervals import Scores


@dataclass(frozen=True)
class Counted:
    """The examples of a measurement, in an order that was chosen.

    Attributes:
        census: what the search must know of them.
        margins: of each, (n,), where cells are to be judged by forecasts; else `None`.
        dense: the dense model's metric on all of them.
    """

    census: Census
    margins: Scores | None
    dense: Estimate


def counted_first(measurement: Measurement, race: bool, calibrated: bool = False) -> Counted | None:
    """Put a measurement's examples into the order of a census, before anything but the dense model is measured.

    `None`, and the order stays as it is, where there are few examples, or the metric has no margins.

    Args:
        measurement: entered. Margins that are not on disk take a pass of the dense model over all its examples.
        race: whether all cells are read until they are decided.
        calibrated: whether cells are judged by forecasts.
    """
    batches, size = measurement.batches, measurement.workload.batch_size
    if batches.n < LEAST_BATCHES * size or (margins := measurement.margins()) is None:
        return None
    dense, _ = measurement.dense_scores(range(len(batches)))
    positions = np.concatenate([positions.numpy() for positions in batches.positions])
    drawn = np.random.default_rng(0).permutation(len(measurement.workload.evaluation))
    given = margins.astype(np.float64), dense, [batches.size(i) for i in range(len(batches))], size, drawn[positions]
    found = interleaved(*given) if calibrated else planned(*given, FIRST_OF_RACE if race else FIRST_OF_SEARCH)
    if found is None:
        return None
    order, sizes, census = found
    of_all = measurement.dense_estimate(range(len(batches)))
    measurement.regroup(order, sizes)
    return Counted(census, given[0][order] if calibrated else None, of_all)
