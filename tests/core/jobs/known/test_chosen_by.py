"""Which examples count as unseen for a plan: not those of anything that may have chosen it. No torch."""

import pytest

from core.jobs.known.chosen_by import part_after_choosing
from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.workload.description import Description
from core.workload.scale import Scale
from core.workspace import Workspace

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0, high=1)
FOUND = Description("m", "m", "x", ACCURACY, 10_000, None, None, 500, 400, (), ())
A, B, C = (Cut(name, "weight", 0.5) for name in "abc")
PLAN = SparsityPlan((A, B), "m")


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path))


def ran(runs, kind, result, **request):
    run, _ = runs.submit(kind, "m", request)
    runs.update(run.id, state="finished", result={"model": "x", **result})


def part(runs, wanted=500):
    found = part_after_choosing(runs, FOUND, PLAN, 8_000, wanted)
    return found.skip, found.n, found.unseen


def estimate(n):
    return {"value": 0.5, "low": 0.4, "high": 0.6, "n": n}


@pytest.mark.parametrize(
    ("kind", "result", "request_", "after"),
    [
        ("pairs", {"n": 300}, {"seed": 0}, 300),
        ("anchors", {"n": 2000, "skip": 500, "unseen": True}, {}, 2500),
        ("anchors", {"n": 2000, "unseen": False}, {}, 2000),  # of an older build
        ("refine", {"n": 700}, {}, 700),
        ("minimise", {"judged": []}, {"samples": 900}, 900),
        ("minimise", {"judged": [{}]}, {"samples": 900}, 2900),
        ("recover", {"history": [{"after": estimate(1200)}, {"after": None}]}, {}, 1200),
        ("undo", {"n": 500, "skip": 100, "unseen": True}, {"plan": SparsityPlan((A, B, C), "m").to_document()}, 600),
        ("undo", {"n": 500, "skip": 100, "unseen": True}, {"plan": PLAN.to_document()}, 0),  # this plan chose nothing
        ("undo", {"n": 500, "skip": 0, "unseen": True}, {"plan": SparsityPlan((A, C), "m").to_document()}, 0),
        ("measure", {"n": 8000}, {}, 0),
        ("certify", {"n": 8000}, {}, 0),
    ],
)
def test_examples_come_after_those_of_whatever_may_have_chosen_the_plan(runs, kind, result, request_, after):
    ran(runs, kind, result, **request_)
    assert part(runs) == (after, 500, True)


def test_runs_of_an_older_model_chose_nothing(runs):
    ran(runs, "refine", {"n": 700, "model": "y"})
    assert part(runs) == (0, 500, True)


def test_where_all_were_looked_at_it_is_said(runs):
    ran(runs, "minimise", {"judged": [{}]}, samples="all")
    assert part(runs) == (0, 500, False)


def test_an_order_of_another_seed_has_examples_in_every_part(runs):
    ran(runs, "pairs", {"n": 300}, seed=7)
    assert part(runs) == (300, 500, False)
