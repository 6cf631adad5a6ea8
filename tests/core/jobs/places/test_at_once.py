"""How many cells a worker measures at a time is found on the work itself."""

from types import SimpleNamespace

import pytest

from core.jobs.places import helping, workers
from core.jobs.places.asked import Bundle
from core.jobs.places.at_once import TURNS, AtOnce
from core.workspace import Workspace
from tests.core.cli.running import refused


def settled(most, rates, n_cells=40):
    """After as many bundles as it wants; what each number at a time measures in a second is given."""
    found, order = AtOnce(most), []
    while not found.is_settled:
        order.append(found.now)
        found.tell(n_cells, n_cells / rates[found.now])
    return found, order


@pytest.mark.parametrize(
    ("most", "rates", "best"),
    [
        (4, {1: 10.0, 2: 19.0, 4: 36.0}, 4),
        (4, {1: 10.0, 2: 18.0, 4: 18.5}, 2),  # within the noise of the most: the fewest leave cores for others
        (6, {1: 10.0, 2: 9.0, 4: 8.0, 6: 7.0}, 1),
        (3, {1: 10.0, 2: 15.0, 3: 21.0}, 3),
    ],
)
def test_the_fewest_that_give_as_good_as_the_most_a_second_are_taken(most, rates, best):
    found, order = settled(most, rates)
    assert found.now == best
    assert order == [*rates] * TURNS  # in turn: what else the machine does falls on all alike
    assert f"{best} at a time" in found.text
    assert found.rates == pytest.approx(rates)


def test_one_core_to_spare_leaves_nothing_to_try():
    assert AtOnce(1).is_settled
    assert AtOnce(1).now == 1


def test_bundles_of_fewer_cells_than_are_tried_tell_nothing():
    found = AtOnce(4)
    for _ in range(TURNS):
        for n in (1, 2, 4):
            assert found.now == n
            found.tell(n, 1.0)
    assert found.is_settled
    other = AtOnce(2)
    other.tell(1, 1.0)
    assert other.now == 2
    other.tell(1, 0.1)
    assert other.now == 2
    assert not other.rates.get(2)


def test_a_worker_tries_tells_what_it_found_and_gives_back_the_cores_it_does_not_take(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "usable_cores", lambda: 6)
    workspace, said, clock, at = Workspace(tmp_path), [], [0.0], []
    workers.register(workspace, 1)
    number = workers.register(workspace, 1)
    assert workers.spare_cores(workspace, number) == 4  # one is another worker's, one the run's own
    monkeypatch.setattr(helping.time, "monotonic", lambda: clock[0])
    helper = helping._Helper(workspace, number, None, said.append)
    helper.stopped.set()
    taken = []

    def measure(bundle):
        taken.append(next(one.threads for one in workers.helpers(workspace) if one.id == number))
        clock[0] += len(bundle.plans) / {1: 10.0, 2: 20.0, 4: 20.1}[at[-1]]
        return bundle

    measured, found = SimpleNamespace(at_once=at.append, measure=measure), AtOnce(4)
    bundle = Bundle(0, tuple((i, f"key {i}", None) for i in range(8)))
    for _ in range(3 * TURNS + 2):
        assert helper._tried(measured, bundle, found) is bundle
    assert at == [1, 2, 4] * TURNS + [2, 2]
    assert taken == at
    assert said == [
        f"Worker {number} measures 2 at a time: cells a second, {TURNS} bundles each: "
        "1 gave 10, 2 gave 20, 4 gave 20.1."
    ]


def test_what_is_no_number_of_cells_is_refused(tmp_path):
    assert "--at-once" in refused("work", "--at-once", "many", "--workspace", tmp_path)
    assert "--at-once" in refused("work", "--at-once", "0", "--workspace", tmp_path)
