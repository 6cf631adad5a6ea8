"""The plan book: what is kept of a plan, and that no prediction is made afterwards."""

import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import Cut, Estimate, SecateurError, SparsityPlan
from core.jobs import launch
from core.jobs.known import findings, plan_results
from core.jobs.known.plan_book import PlanBook
from core.jobs.runs import RunStore
from core.plans.prediction import Prediction
from core.workload.description import Description
from core.workload.target import Target
from core.workspace import Workspace
from tests.scales import ACCURACY

SCALE = ACCURACY
TARGETS = (Target("fc", "weight", "Linear", "fc.weight", (2, 8), 16),)
FOUND = Description("m", "m", "model 1", SCALE, 10, None, None, 10, 100, TARGETS, ())
HALF, MOST = (SparsityPlan((Cut("fc", "weight", sparsity),)) for sparsity in (0.5, 0.9))


def predicted(drop, low=None, high=None):
    low, high = (drop - 0.01 if low is None else low), (drop + 0.01 if high is None else high)
    return Prediction(1.0, 0.9 - drop, 0.9 - high, 0.9 - low, drop, low, high)


def estimate(value, n=100):
    return Estimate(value, value - 0.02, value + 0.02, n)


@pytest.fixture
def book(tmp_path):
    book = PlanBook(Workspace(tmp_path / "ws"))
    RunStore(book.workspace).remember(FOUND)
    return book


def measured(book, plan, drop=0.1, *, n=100, model="model 1", kind="measure", state="measured", shrunk=None, **columns):
    """A finished run that measured a plan, without a model."""
    runs = RunStore(book.workspace)
    run, _ = runs.submit(kind, "m", {"plan": plan.to_document(), "samples": n, "device": "cpu", "out": None})
    ok = state != "failed"
    result = {
        "metric": asdict(SCALE), "dense": asdict(estimate(0.9, n)), "state": state, "reason": None if ok else "NaN",
        "pruned": asdict(estimate(0.9 - drop, n)) if ok else None, "drop": asdict(estimate(drop, n)) if ok else None,
        "n_removed": 8, "n_weights": 16, "layers": [], "model": model,
    }  # fmt: skip
    if shrunk is not None:
        result["shrunk"] = {"metric": asdict(estimate(0.9 - shrunk, n)), "drop": asdict(estimate(shrunk, n))}
    if kind == "export":
        result = {
            "folder": "b",
            "manifest": {"measured": result, "dense_model": model, "shrunk": result.pop("shrunk", None)},
        }
    runs.update(run.id, **{"state": "finished", "ended": 1000.0, "result": result, **columns})
    return run.id


def test_a_plan_is_kept_with_where_it_comes_from(book):
    parent = book.keep("m", HALF, "hand")
    one = book.keep("m", MOST, "solver", parent.id, predicted(0.1), {"budget": 0.5}, n_plans=3)
    assert (one.id, len(one.id)) == (MOST.fingerprint()[:8], 8)
    assert (one.made_by, one.parent, one.goal, one.plan) == ("solver", parent.id, {"budget": 0.5}, MOST)
    assert (one.prediction.value, one.prediction.n_plans, one.prediction.model) == (predicted(0.1), 3, "model 1")
    assert book.all("m") == (one, parent)
    assert book.all("n") == ()


def test_keeping_it_again_changes_neither_maker_nor_parent_nor_creation_nor_name_nor_note(book):
    book.keep("m", HALF, "hand")
    book.keep("m", MOST, "solver", goal="half the size")
    book.rename("m", MOST.fingerprint(), "small")
    before = book.write_note("m", "small", "looks good")
    assert book.keep("m", MOST, "file", parent=HALF.fingerprint()[:8], goal="other") == before


def test_the_newest_prediction_counts_until_the_plan_is_measured(book):
    book.keep("m", HALF, "hand", prediction=predicted(0.1))
    assert book.keep("m", HALF, "hand", prediction=predicted(0.2), n_plans=2).prediction.value.drop == 0.2
    assert book.keep("m", HALF, "hand").prediction.value.drop == 0.2
    measured(book, HALF, 0.15)
    assert book.keep("m", HALF, "hand", prediction=predicted(0.15)).prediction.value.drop == 0.2
    assert book.all("m")[0].prediction.n_plans == 2


@pytest.mark.parametrize("kind", ["measure", "export"])
def test_hindsight_is_no_prediction_even_where_there_was_none_before(book, kind):
    measured(book, HALF, 0.15, kind=kind)
    assert book.keep("m", HALF, "hand", prediction=predicted(0.15)).prediction is None
    (one,) = book.measured("m")
    assert (one.gap, one.is_inside, one.predicted) == (None, None, None)


def test_a_plan_that_failed_to_give_a_number_was_measured_too(book):
    measured(book, HALF, state="failed")
    assert book.keep("m", HALF, "hand", prediction=predicted(0.15)).prediction is None


@pytest.mark.parametrize("state", ["queued", "running", "failed", "cancelled"])
def test_a_run_that_has_found_nothing_yet_is_no_measurement(book, state):
    run = measured(book, HALF)
    RunStore(book.workspace).update(run, state=state)
    assert book.measured("m") == ()
    assert book.keep("m", HALF, "hand", prediction=predicted(0.15)).prediction is not None


def test_another_version_of_the_model_is_another_question(book):
    book.keep("m", HALF, "hand", prediction=predicted(0.1))
    measured(book, HALF, 0.12)
    RunStore(book.workspace).remember(replace(FOUND, fingerprint="model 2"))
    assert book.measured("m") == ()
    assert book.all("m")[0].prediction is None
    book.keep("m", HALF, "hand", prediction=predicted(0.3))
    measured(book, HALF, 0.25, model="model 2")
    (now,), (then,) = book.measured("m"), book.measured("m", "model 1")
    assert (now.predicted.drop, now.result.drop.value) == (0.3, 0.25)
    assert (then.predicted.drop, then.result.drop.value) == (0.1, 0.12)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(
        st.tuples(st.sampled_from(["predict", "measure"]), st.sampled_from([0, 1]), st.integers(1, 9)), max_size=10
    )
)
def test_the_prediction_beside_a_measured_plan_is_the_last_one_made_before(tmp_path_factory, events):
    book = PlanBook(Workspace(tmp_path_factory.mktemp("ws")))
    RunStore(book.workspace).remember(FOUND)
    last, done = {}, set()
    for what, which, number in events:
        plan = (HALF, MOST)[which]
        if what == "measure":
            measured(book, plan, number / 10)
            done.add(which)
        else:
            book.keep("m", plan, "solver", prediction=predicted(number / 10))
            if which not in done:
                last[which] = number / 10
    for one in book.all("m"):
        which = (HALF, MOST).index(one.plan)
        assert (one.prediction.value.drop if one.prediction else None) == last.get(which)


def test_the_gap_is_measured_minus_predicted_and_the_interval_is_the_predicted_one(book):
    book.keep("m", HALF, "solver", prediction=predicted(0.1, 0.05, 0.12))
    measured(book, HALF, 0.125)
    (one,) = book.measured("m")
    assert one.gap == pytest.approx(0.025)  # 2.5 points worse than predicted
    assert one.is_inside is False
    book.keep("m", MOST, "solver", prediction=predicted(0.2, 0.125, 0.25))
    measured(book, MOST, 0.125)
    assert book.measured("m")[0].is_inside is True  # the bound belongs to it
    assert (one.result.n_removed, one.result.n_weights, one.result.drop.n) == (8, 16, 100)


@pytest.mark.parametrize("state", ["no effect", "failed"])
def test_a_plan_that_tried_nothing_has_no_gap(book, state):
    book.keep("m", HALF, "hand", prediction=predicted(0.1))
    measured(book, HALF, 0.0, state=state)
    (one,) = book.measured("m")
    assert (one.gap, one.is_inside, one.result.state) == (None, None, state)


def test_of_several_measurements_the_one_on_most_examples_counts_then_the_newest(book):
    for drop, n in ((0.1, 100), (0.2, 500), (0.3, 500), (0.4, 20)):
        measured(book, HALF, drop, n=n)
    (one,) = book.measured("m")
    assert (one.result.drop.value, one.result.drop.n) == (0.3, 500)


def test_a_plan_measured_shrunk_was_measured_masked_as_well(book):
    measured(book, HALF, 0.1, shrunk=0.11)
    assert [(one.result.form, one.result.drop.value) for one in book.measured("m")] == [
        ("masked", 0.1),
        ("shrunk", 0.11),
    ]
    measured(book, MOST, 0.3, kind="export", shrunk=0.31)
    assert [(one.result.form, one.result.drop.value) for one in book.measured("m") if one.kept.plan == MOST] == [
        ("masked", 0.3),
        ("shrunk", 0.31),
    ]


def test_plans_measured_before_there_was_a_book_are_in_it_and_nobody_knows_who_made_them(book):
    measured(book, HALF, ended=500.0)
    measured(book, HALF, ended=900.0)
    (old,) = book.all("m")
    assert (old.made_by, old.created, old.plan, old.name) == (None, 500.0, HALF, None)
    assert book.keep("m", HALF, "file") == old  # who keeps it now need not have made it
    named = book.rename("m", old.id, "the first")
    assert named == replace(old, name="the first") == book.get("m", "the first")
    assert [one.kept for one in book.measured("m")] == [named]


def test_a_result_that_does_not_say_of_which_model_it_is_belongs_to_none_and_still_ends_foresight(book):
    run = measured(book, HALF)
    runs = RunStore(book.workspace)
    runs.update(run, result={key: value for key, value in runs.get(run).result.items() if key != "model"})
    assert book.measured("m") == ()
    assert [one.plan for one in book.all("m")] == [HALF]
    assert book.keep("m", HALF, "hand", prediction=predicted(0.1)).prediction is None
    with book.workspace.write() as db:
        db.execute("DELETE FROM workloads")
    assert book.measured("m") == ()


def test_milliseconds_come_from_the_newest_profile_of_that_plan_and_model(book):
    runs = RunStore(book.workspace)
    machine = {"cpu": "c", "cores": 1, "system": "s", "device": "cpu", "torch": "2"}

    def profiled(plan, seconds, model="model 1"):
        row = {"engine": "eager", "batch": 1, "threads": 1, "n": 5, "low": 0.1, "high": 0.3}
        timings = [{"variant": v, "passes": 1, "median": s, **row} for v, s in (("dense", 0.4), ("masked", seconds))]
        ratio = {**row, "variant": "masked", "value": 0.4 / seconds, "verdict": "faster"}
        run, _ = runs.submit("profile", "m", {"plan": plan.to_document() if plan else None, "n": seconds})
        result = {
            "workload": "m", "machine": machine, "sizes": [], "timings": timings, "ratios": [ratio], "layers": [],
            "unavailable": [], "savings": [], "model": model,
        }  # fmt: skip
        runs.update(run.id, state="finished", result=result)

    measured(book, HALF)
    measured(book, MOST)
    for plan, seconds, model in (
        (HALF, 0.3, "model 1"),
        (HALF, 0.2, "model 1"),
        (None, 1, "model 1"),
        (HALF, 9, "old"),
    ):
        profiled(plan, seconds, model)
    by_plan = {one.kept.plan: one for one in book.measured("m")}
    assert (by_plan[HALF].timing.median, by_plan[HALF].speed.value) == (0.2, 2.0)
    assert (by_plan[MOST].profile, by_plan[MOST].timing, by_plan[MOST].speed) == (None, None, None)
    assert by_plan[HALF].to_json()["timing"]["median"] == 0.2


def test_a_plan_is_found_by_its_name_or_the_beginning_of_its_id(book):
    one = book.keep("m", HALF, "hand")
    book.rename("m", one.id, " half  of\nit ")
    one = book.get("m", "half of it")
    assert one == book.get("m", one.id) == book.get("m", one.id[:3].upper()) == book.get("m", one.fingerprint)


def test_a_plan_that_is_not_there_is_refused_with_the_nearest_name(book):
    with pytest.raises(SecateurError, match=r"no plan 'x' of m in .*ws; `secateur plans m` lists them"):
        book.get("m", "x")
    book.keep("m", HALF, "hand")
    book.rename("m", HALF.fingerprint()[:8], "careful")
    with pytest.raises(SecateurError, match=r"no plan 'carefull' of m .*; did you mean careful\?"):
        book.get("m", "carefull")
    with pytest.raises(SecateurError, match="no plan '' of m"):
        book.get("m", "")
    with pytest.raises(SecateurError, match="no plan 'careful' of n"):
        book.get("n", "careful")


def test_an_id_that_is_too_short_names_those_it_may_be(book):
    made = [SparsityPlan((Cut("fc", "weight", i / 100),)) for i in range(1, 40)]
    for plan in made:
        book.keep("m", plan, "hand")
    digit = max("0123456789abcdef", key=lambda d: sum(plan.fingerprint().startswith(d) for plan in made))
    n = sum(plan.fingerprint().startswith(digit) for plan in made)
    with pytest.raises(SecateurError, match=rf"{n} plans of m start with '{digit}': .*; give more of the id"):
        book.get("m", digit)


def test_two_plans_never_get_one_name_and_none_gets_one_that_reads_like_an_id(book):
    book.keep("m", HALF, "hand")
    book.keep("m", MOST, "hand")
    half, most = HALF.fingerprint()[:8], MOST.fingerprint()[:8]
    book.rename("m", half, "best")
    with pytest.raises(SecateurError, match=f"plan {half} is called 'best' already; choose another name"):
        book.rename("m", most, "best")
    with pytest.raises(SecateurError, match="reads like a plan's id"):
        book.rename("m", most, half)
    assert book.rename("m", "best", "").name is None
    assert book.rename("m", most, "best").name == "best"
    assert book.rename("m", most, "best").name == "best"  # again is no clash with itself


def test_a_note_is_kept_with_its_lines_and_an_empty_one_is_none(book):
    one = book.keep("m", HALF, "hand")
    assert book.write_note("m", one.id, " two\nlines \n").note == "two\nlines"
    assert book.write_note("m", one.id, " ").note is None


def test_a_plan_is_forgotten_unless_it_was_measured_and_its_children_go_to_its_parent(book):
    one = book.keep("m", HALF, "hand")
    middle = book.keep("m", MOST, "hand", one.id, predicted(0.1))
    last = book.keep("m", SparsityPlan(), "hand", middle.id)
    assert book.forget("m", middle.id) == middle
    assert {kept.id: kept.parent for kept in book.all("m")} == {one.id: None, last.id: one.id}
    assert book.keep("m", MOST, "file").prediction is None  # that was forgotten too
    run = measured(book, HALF, model="an older one")
    with pytest.raises(SecateurError, match=f"plan {one.id} was measured by run {run}, and what was measured is kept"):
        book.forget("m", one.id)


def test_a_plan_that_is_being_measured_is_not_forgotten(book):
    one = book.keep("m", HALF, "hand")
    run, _ = RunStore(book.workspace).submit("measure", "m", {"plan": HALF.to_document()})
    with pytest.raises(SecateurError, match=f"plan {one.id} is at work in run {run.id}; `secateur stop {run.id}`"):
        book.forget("m", one.id)


@pytest.mark.parametrize("kind", ["anchors", "minimise", "refine"])
def test_no_plan_is_forgotten_while_a_run_makes_and_measures_plans_of_its_own(book, kind):
    one = book.keep("m", HALF, "hand")
    runs = RunStore(book.workspace)
    runs.submit(kind, "another", {})
    run, _ = runs.submit(kind, "m", {})
    with pytest.raises(SecateurError, match=f"run {run.id} is at work on plans of m.*`secateur stop {run.id}`"):
        book.forget("m", one.id)
    runs.update(run.id, state="finished")
    assert book.forget("m", one.id) == one


def test_no_plan_is_its_own_ancestor(book):
    first = book.keep("m", HALF, "hand")
    second = book.keep("m", MOST, "hand", first.id)
    with book.workspace.write() as db:  # as after a merge of a workspace that knew the second plan only
        db.execute("DELETE FROM plans WHERE plan = ?", (first.fingerprint,))
    assert (second.parent, book.keep("m", HALF, "hand", second.id).parent) == (first.id, None)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"made_by": "nobody"}, "made by one of hand, file, .* got 'nobody'"),
        ({"made_by": "hand", "parent": "x"}, "no plan 'x'"),
    ],
)
def test_what_cannot_be_kept_is_refused(book, given_, message):
    with pytest.raises(SecateurError, match=message):
        book.keep("m", HALF, **given_)
    assert book.all("m") == ()


def test_a_prediction_for_a_model_that_nobody_has_read_is_refused(book):
    with pytest.raises(SecateurError, match="a prediction is for a model; read n first: `secateur targets n`"):
        book.keep("n", HALF, "hand", prediction=predicted(0.1))
    assert book.keep("n", HALF, "hand", prediction=predicted(0.1), model="f").plan == HALF


def test_measuring_keeps_the_plan_and_what_was_predicted_of_it_first(book, monkeypatch):
    monkeypatch.setattr("core.jobs.submissions.canonical_ref", lambda ref: ref)
    kept = []
    monkeypatch.setattr(launch, "_start_worker", lambda runs, run: kept.append(book.all("m")))
    runs = RunStore(book.workspace)
    launch.start_measure(runs, "m", HALF, made_by="solver", prediction=predicted(0.1), n_plans=4, goal="small")
    ((one,),) = kept
    assert (one.made_by, one.goal, one.prediction.value.drop, one.prediction.n_plans) == ("solver", "small", 0.1, 4)
    launch.start_export(runs, "m", MOST, made_by="file")
    assert {one.plan: one.made_by for one in kept[-1]} == {HALF: "solver", MOST: "file"}


def test_a_masked_plan_is_asked_for_as_ever_and_a_shrunk_one_is_another_run(book, monkeypatch):
    monkeypatch.setattr("core.jobs.submissions.canonical_ref", lambda ref: ref)
    monkeypatch.setattr(launch, "_start_worker", lambda runs, run: None)
    runs = RunStore(book.workspace)
    old = {"plan": HALF.to_document(), "samples": "all", "device": "cpu", "out": None}  # of an older Secateur
    run, _ = runs.submit("measure", "m", old)
    assert launch.start_measure(runs, "m", HALF) == (run, False)
    shrunk, is_new = launch.start_measure(runs, "m", HALF, form="shrunk")
    assert (is_new, shrunk.request["form"]) == (True, "shrunk")


WRITER = """
import sys
from core import Cut, SparsityPlan
from core.jobs.known import findings
from core.jobs.known.plan_book import PlanBook
from core.workspace import Workspace
book = PlanBook(Workspace(sys.argv[1]))
input()
for i in range(1, 21):
    plan = SparsityPlan((Cut("fc", "weight", i / 100),))
    book.keep("m", plan, sys.argv[2])
    book.write_note("m", plan.fingerprint(), sys.argv[2])
"""


@pytest.mark.process
def test_two_writers_at_once_keep_each_plan_once_with_one_maker(book):
    makers = ("hand", "file")
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, book.workspace.folder, maker], stdin=-1, stderr=-1, text=True)
        for maker in makers
    ]
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[1] for writer in writers] == ["", ""]
    kept = book.all("m")
    assert sorted(one.plan.sparsity_of("fc") for one in kept) == [i / 100 for i in range(1, 21)]
    assert {one.made_by for one in kept} | {one.note for one in kept} <= set(makers)


def test_of_two_who_want_one_name_one_gets_it(book):
    for plan in (HALF, MOST):
        book.keep("m", plan, "hand")
    refused = []

    def name(plan):
        try:
            book.rename("m", plan.fingerprint(), "best")
        except SecateurError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=name, args=(plan,)) for plan in (HALF, MOST)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.name for one in book.all("m")].count("best") == 1
    assert len(refused) == 1


def test_what_an_export_measured_is_no_prediction_any_more(book):
    runs = RunStore(book.workspace)
    measured(book, HALF, 0.1, kind="export", n=100)
    measured(book, MOST, 0.3, n=100)
    measured(book, MOST, 0.31, kind="export", n=400)
    measured(book, HALF, 0.2, kind="export", model="an earlier one")
    joints = findings.measured_joints(runs, FOUND)
    assert {one.plan: (one.drop.value, one.drop.n) for one in joints} == {HALF: (0.1, 100), MOST: (0.31, 400)}


def test_a_book_of_more_plans_than_are_kept_parsed_reads_each_once_for_a_list(monkeypatch):
    read = []
    kept = plan_results._Kept(lambda name, text: read.append(name) or name, letters=50)
    for _ in range(3):
        assert [kept(i, "x" * 10) for i in range(4)] == [0, 1, 2, 3]
    assert read == [0, 1, 2, 3]
    kept(9, "x" * 60)  # one that is larger than all that may be kept: it alone stays
    assert kept(9, "x" * 60) == 9
    assert read == [0, 1, 2, 3, 9]
    assert len(kept._found) == 1
