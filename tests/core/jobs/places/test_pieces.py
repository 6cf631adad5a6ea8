"""Work in pieces: none too large while there is much, smaller toward the end, none fetched before it is needed."""

from core.jobs.places.pieces import Pieces
from core.plans.plan import Cut, SparsityPlan

TARGETS = [f"layer{k}" for k in range(20)]
PLANS = [(k, SparsityPlan((Cut(name, "weight", sparsity),))) for k, (name, sparsity) in enumerate(
    (name, sparsity) for name in TARGETS for sparsity in (0.5, 0.9)
)]  # fmt: skip


def pieces(batches, fetched=None, seconds=0.25, least=0.1):
    def work():
        for i in range(batches):
            if fetched is not None:
                fetched.append(i)
            yield i, PLANS

    return Pieces(work(), lambda one: one[1].cuts[0].target, lambda i, plan: seconds, lambda i: least)


def all_of(found, largest, parts=1):
    while (piece := found.next(largest, parts)) is not None:
        yield piece


def test_every_plan_comes_once_in_the_order_that_it_was_asked_for():
    found = [(batch, number) for batch, plans in all_of(pieces(3), 1.0, 4) for number, _ in plans]
    assert found == [(batch, number) for batch in range(3) for number, _ in PLANS]


def test_a_piece_is_of_one_batch_and_never_divides_what_changes_the_same_tensors():
    for _, plans in all_of(pieces(2), 0.0, 4):
        assert [plan.cuts[0].sparsity for _, plan in plans] == [0.5, 0.9]


def test_pieces_are_as_large_as_they_may_be_and_get_smaller_toward_the_end_of_all_and_not_of_each_batch():
    sizes = [len(plans) / 4 for _, plans in all_of(pieces(2, least=0.5), 2.0, 4)]
    assert sizes[:5] == [2.0] * 5  # the whole of the first batch
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-2:] == [0.5, 0.5]


def test_what_takes_longer_than_a_piece_may_is_a_piece_of_its_own():
    taken = list(all_of(pieces(2, seconds=3.0), 1.0, 4))
    assert [len(plans) for _, plans in taken] == [2] * 2 * len(TARGETS)


def test_no_piece_is_smaller_than_what_is_worth_asking_for_but_the_rest_of_a_batch():
    taken = list(all_of(pieces(2, least=3.0), 1.0, 4))  # ten seconds of a batch, by groups of half a second
    assert [0.25 * len(plans) for _, plans in taken] == 2 * [3.0, 3.0, 3.0, 1.0]


def test_the_next_batch_is_asked_for_once_the_one_before_does_not_fill_those_who_measure():
    fetched = []
    found = pieces(3, fetched)
    found.next(1.0, 4)
    assert fetched == [0]
    for _ in range(7):
        found.next(1.0, 4)
    assert fetched == [0, 1]


def test_who_measures_alone_looks_no_further_than_the_batch_at_hand():
    fetched = []
    found = pieces(3, fetched)
    assert found.next(1000.0) == (0, PLANS)
    assert fetched == [0]
    assert not found.ended


def test_no_work_has_no_pieces():
    found = pieces(0)
    assert found.next(1.0) is None
    assert found.ended
