"""The census of a measurement's examples: how sure the dense model is of each decides in which order they are read."""

import numpy as np

from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.report import Estimate
from core.sensitivity.search.census import FIRST_OF_RACE, FIRST_OF_SEARCH, LEAST_BATCHES, Census, planned


def counted_first(measurement: Measurement, race: bool) -> tuple[Census, Estimate] | None:
    """Put a measurement's examples into the order of a census, before anything but the dense model is measured.

    `None`, and the order stays as it is, where there are few examples, or the metric has no margins.

    Args:
        measurement: entered. Margins that are not on disk take a pass of the dense model over all its examples.

        race: whether all cells are read until they are decided.

    Returns:
        What the search must know, and the dense model's metric on all the examples.
    """
    batches, size = measurement.batches, measurement.workload.batch_size
    if batches.n < LEAST_BATCHES * size or (margins := measurement.margins()) is None:
        return None
    dense, _ = measurement.dense_scores(range(len(batches)))
    positions = np.concatenate([positions.numpy() for positions in batches.positions])
    drawn = np.random.default_rng(0).permutation(len(measurement.workload.evaluation))
    found = planned(
        margins.astype(np.float64),
        dense,
        [batches.size(i) for i in range(len(batches))],
        size,
        drawn[positions],
        FIRST_OF_RACE if race else FIRST_OF_SEARCH,
    )
    if found is None:
        return None
    order, sizes, census = found
    of_all = measurement.dense_estimate(range(len(batches)))
    measurement.regroup(order, sizes)
    return census, of_all
