"""On which examples what was chosen is judged."""

from types import SimpleNamespace

import pytest

from core.jobs.known.judging import FEWEST, JUDGED, Part, judging_part, part_after_sweeps, search_part


def test_they_come_after_those_that_were_used_and_are_not_more_than_it_takes():
    assert judging_part(500, 10_000) == Part(500, JUDGED, unseen=True)
    assert judging_part(500, 900) == Part(500, 400, unseen=True)
    assert judging_part(500, 10_000, wanted=50) == Part(500, 50, unseen=True)
    assert judging_part(500, 10_000, wanted=10_000) == Part(500, 9_500, unseen=True)


@pytest.mark.parametrize("used", [1000, 1000 - FEWEST + 1])
def test_where_too_few_are_left_those_of_the_sweep_serve_again_and_it_is_said(used):
    assert judging_part(used, 1000) == Part(0, used, unseen=False)


def test_a_search_leaves_a_part_to_judge_its_answer_on():
    assert search_part("all", 10_000) == (8000, Part(8000, 2000, unseen=True))
    assert search_part("all", 900) == (600, Part(600, 300, unseen=True))
    assert search_part(500, 10_000) == (500, Part(500, 2000, unseen=True))


def test_of_few_examples_a_search_takes_all_and_nothing_is_left_to_judge_on():
    assert search_part("all", 250) == (250, None)
    assert search_part(240, 250) == (240, None)


def swept(n, seed):
    return SimpleNamespace(request={"seed": seed}), SimpleNamespace(n_examples=n, dense=None)


def test_after_a_sweep_of_another_order_nothing_is_said_to_be_unseen():
    assert part_after_sweeps([swept(500, 0)], 10_000) == Part(500, JUDGED, unseen=True)
    assert part_after_sweeps([swept(500, 0), swept(300, 7)], 10_000) == Part(500, JUDGED, unseen=False)
    assert part_after_sweeps([swept(500, 0)], 10_000, used=2_000) == Part(2_000, JUDGED, unseen=True)
