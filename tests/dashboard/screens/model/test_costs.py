"""Where the time goes, beside the chart: what cutting one group alone saves."""

from dataclasses import dataclass

from core.profiling.report import Saving
from dashboard.screens.model.costs_panel import savings_frame


@dataclass
class Report:
    """The part of a profile that is read here."""

    savings: tuple[Saving, ...]


def test_savings_are_listed_largest_first_and_marked_where_none_may_be():
    report = Report(
        (
            Saving("a", 0.5, 1, 1, 0.001, 0.0005, 0.002, 30),
            Saving("b", 0.5, 1, 1, 0.004, -0.001, 0.005, 30),
            Saving("a", 0.5, 64, 1, 0.1, 0.09, 0.11, 30),
        )
    )
    frame = savings_frame(report, 1)
    assert list(frame["target"]) == ["b", "a"]
    assert list(frame["ms saved"]) == ["4.00·", "1.00"]
    assert list(frame["95 % interval"]) == ["[\N{MINUS SIGN}1.00, 5.00]", "[0.500, 2.00]"]
