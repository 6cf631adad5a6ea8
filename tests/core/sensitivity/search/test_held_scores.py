"""Scores are held in few bytes and come back bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.sensitivity.search.held_scores import HeldScores

FLOATS = st.floats(width=32) | st.floats() | st.sampled_from([0.0, -0.0, 1.0, 255.0, 256.0, 1e300])


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(FLOATS, min_size=1, max_size=3)), max_size=8))
def test_whatever_is_told_comes_back_bit_for_bit(told):
    held, alone = HeldScores(3, 24), [np.empty(0) for _ in range(3)]
    for cell, scores in told:
        held.add(cell, np.array(scores))
        alone[cell] = np.concatenate([alone[cell], scores])
    for cell in range(3):
        assert held.of(cell).dtype == np.float64
        assert held.of(cell).tobytes() == alone[cell].tobytes()


@pytest.mark.parametrize(
    ("score", "each"), [(1.0, 1), (255.0, 1), (256.0, 4), (0.25, 4), (-0.0, 4), (0.1, 8), (1e300, 8), (np.nan, 8)]
)
def test_a_score_takes_as_many_bytes_as_it_needs(score, each):
    held = HeldScores(2, 10)
    held.add(0, np.array([0.0, 1.0]))
    held.add(1, np.array([score]))
    assert held.n_bytes == 20 * each
    assert held.of(0).tolist() == [0.0, 1.0]
