"""Checks of bundles in words."""

import dataclasses

from core.delivery import bundle_words
from tests.scales import ACCURACY

CHECKED = {"files": 4, "tensors": 9, "metric": 0.1221, "n": 10_000, "formats": None}


def test_a_verified_metric_reads_as_it_does_everywhere_else():
    checked = {**CHECKED, "scale": dataclasses.asdict(ACCURACY)}
    assert bundle_words.measured_again_text(checked) == "accuracy 12.21 %, n = 10,000"
    assert "it measures accuracy 12.21 %, n = 10,000, as its manifest says" in bundle_words.verified_text(checked)
    assert bundle_words.measured_again_text(CHECKED) == "0.1221, n = 10,000"  # an older build kept no scale
