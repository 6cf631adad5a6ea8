"""The harm of cuts from their metric and their loss together."""

import pytest

from core.tuning.harm import Seen, harms

# on a line: the harm is twice the loss
LINE = [Seen(2 * loss, 0.01, loss, 0.001) for loss in (0.05, 0.1, 0.3, 0.6, 1.0, 2.0)]


def test_without_losses_it_is_what_the_metric_says():
    assert harms([Seen(0.1, 0.02), Seen(-0.05, 0.02)]) == [(0.1, 0.02), (-0.05, 0.02)]


def test_too_few_clear_cells_make_no_line():
    cells = [Seen(0.2, 0.01, 0.1, 0.001), *[Seen(0.001, 0.05, 0.0001, 0.01)] * 10]
    assert harms(cells) == [(cell.harm, cell.error) for cell in cells]


def test_a_small_cut_goes_by_its_loss_a_large_one_by_its_metric():
    small, large = Seen(-0.05, 0.05, 0.01, 0.0005), Seen(3.0, 0.05, 1.0, 0.001)
    *_, (of_small, error), (of_large, _) = harms([*LINE, small, large])
    assert error < 0.01  # much surer than the metric alone
    assert of_small == pytest.approx(0.02, abs=0.006)  # twice its loss, and not better than dense
    assert of_large == pytest.approx(3.0, abs=0.25)  # not 2.0: the line is not that sure


def test_cells_on_the_line_stay_on_it():
    assert [harm for harm, _ in harms(LINE)] == pytest.approx([cell.harm for cell in LINE], rel=0.01)


def test_a_loss_that_fell_is_harm_below_nothing():
    *_, (better, _) = harms([*LINE, Seen(0.0, 0.1, -0.02, 0.001)])
    assert better < 0


def test_a_loss_that_goes_against_the_metric_says_nothing():
    upside_down = [Seen(harm, 0.01, 0.1 / harm, 0.001) for harm in (0.1, 0.2, 0.4, 0.8, 1.6)]
    assert harms(upside_down) == [(cell.harm, cell.error) for cell in upside_down]


def test_losses_that_lie_together_do_not_make_the_line_steep():
    together = [
        Seen(harm, 0.01, loss, 1e-4)
        for harm, loss in ((0.5, 1.0), (0.6, 1.001), (0.7, 1.002), (0.8, 1.003), (0.9, 1.004))
    ]
    *_, (small, _) = harms([*together, Seen(0.1, 0.04, 0.7, 0.001)])
    assert 0.05 < small < 0.6  # by a line of slope 1, and never as good as free


def test_a_loss_near_nothing_is_no_surer_than_cells_that_do_little_show_it_to_be():
    # the loss says nothing of these, the metric, of noise 0.02, moves by 0.05: the line is off by about as much there
    loose = [Seen(0.05 * (-1) ** i, 0.02, 1e-5, 1e-5) for i in range(40)]
    *_, (_, error) = harms([*LINE, *loose])
    assert error == pytest.approx(1 / (1 / 0.02**2 + 1 / (0.05**2 - 0.02**2)) ** 0.5, rel=0.1)
    tight = [Seen(0.02 * (-1) ** i, 0.02, 1e-5, 1e-5) for i in range(40)]  # all of it noise
    *_, (_, error) = harms([*LINE, *tight])
    assert error == pytest.approx(1 / (1 / 0.02**2 + 1 / (0.04 * 0.02**2)) ** 0.5, rel=0.1)  # what can't be told apart


def test_what_looks_free_by_its_loss_keeps_some_of_what_the_metric_says():
    loose = [Seen(0.05 * (-1) ** i, 0.02, 1e-5, 1e-5) for i in range(40)]
    *_, (harm, _) = harms([*LINE, *loose, Seen(0.05, 0.02, 1e-5, 1e-5)])
    assert harm > 0.03
