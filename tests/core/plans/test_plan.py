"""The sparsity plan and its file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import Cut, SecateurError, SparsityPlan
from core.workload.target import Target

names = st.text(min_size=1, max_size=12)
cuts = st.one_of(
    st.builds(
        Cut, names, st.just("weight"), st.floats(0, 1, exclude_max=True), st.sampled_from(["magnitude", "random"])
    ),
    st.builds(Cut, names, st.just("head")),
)
plans = st.builds(
    SparsityPlan,
    st.lists(cuts, max_size=8, unique_by=lambda cut: (cut.granularity, cut.target)).map(tuple),
    st.none() | names,
)


@given(plan=plans)
def test_a_plan_survives_the_trip_through_json(plan):
    assert SparsityPlan.from_json(plan.to_json()) == plan
    assert SparsityPlan.from_document(plan.to_document()) == plan


@given(plan=plans, data=st.data())
def test_equal_plans_are_equal_text_whatever_the_order_they_were_made_in(plan, data):
    other = SparsityPlan(tuple(data.draw(st.permutations(plan.cuts))), plan.workload)
    assert (other, other.to_json(), other.fingerprint()) == (plan, plan.to_json(), plan.fingerprint())


@given(plan=plans, cut=cuts)
def test_a_line_that_is_set_is_there_once_and_the_others_stay(plan, cut):
    changed = plan.with_cut(cut)
    own = (cut.granularity, cut.target)
    assert [c for c in changed.cuts if (c.granularity, c.target) == own] == ([cut] if cut.sparsity != 0 else [])
    assert [c for c in changed.cuts if (c.granularity, c.target) != own] == [
        c for c in plan.cuts if (c.granularity, c.target) != own
    ]


def test_the_file_by_hand():
    plan = SparsityPlan((Cut("fc", "weight", 0.5), Cut("attn:1", "head")), "mine.py")
    assert json.loads(plan.to_json()) == {
        "format": "secateur.plan",
        "version": 1,
        "workload": "mine.py",
        "cuts": [
            {"target": "attn:1", "granularity": "head"},
            {"target": "fc", "granularity": "weight", "criterion": "magnitude", "sparsity": 0.5},
        ],
    }


def test_a_cut_of_nothing_is_no_cut():
    assert SparsityPlan((Cut("fc", "weight", 0),)) == SparsityPlan()


def test_a_layer_and_a_head_may_have_the_same_name():
    assert len(SparsityPlan((Cut("a", "weight", 0.5), Cut("a", "head"))).cuts) == 2


def test_a_uniform_plan_cuts_every_layer_and_no_head():
    targets = [
        Target("fc", "weight", "Linear", "fc.weight", (2, 2), 4),
        Target("attn:0", "head", "MultiheadAttention", "attn.out_proj.weight", (4, 4), 8, layer="attn", head=0),
    ]
    assert SparsityPlan.uniform(targets, 0.3).cuts == (Cut("fc", "weight", 0.3, "magnitude"),)
    assert SparsityPlan.uniform(targets, 0.3).sparsity_of("fc") == 0.3
    assert SparsityPlan.uniform(targets, 0.3).sparsity_of("attn:0") == 0


def test_the_fingerprint_is_of_the_cuts_alone():
    plan = SparsityPlan((Cut("fc", "weight", 0.5),), "a.py")
    assert plan.fingerprint() == SparsityPlan(plan.cuts, "b.py").fingerprint()
    assert plan.fingerprint() != plan.with_cut(Cut("fc", "weight", 0.25)).fingerprint()


HEADER = {"format": "secateur.plan", "version": 1, "workload": None}
CUT = {"target": "fc", "granularity": "weight", "criterion": "magnitude", "sparsity": 0.5}
BAD = {
    "not JSON": ("{", "is not JSON", "make one with `secateur plan`"),
    "nothing": ("", "is not JSON", "make one with `secateur plan`"),
    "a list": ("[]", "a plan is a JSON object", "make one with `secateur plan`"),
    "another format": ({**HEADER, "format": "x"}, "secateur.plan", "make one with `secateur plan`"),
    "a newer version": ({**HEADER, "version": 3, "cuts": []}, "version 3", "upgrade secateur"),
    "no cuts": (HEADER, 'must hold a list "cuts"', ""),
    "workload 3": ({**HEADER, "workload": 3, "cuts": []}, "string or null", ""),
    "a cut that is a name": ({**HEADER, "cuts": ["fc"]}, "line 1 of the plan's cuts must be an object with", "target"),
    "an unknown field": ({**HEADER, "cuts": [CUT, {**CUT, "ratio": 1}]}, "line 2", "sparsity"),
    "no target": ({**HEADER, "cuts": [{"sparsity": 0.5}]}, "line 1", "target"),
    "criterion 1": ({**HEADER, "cuts": [{**CUT, "criterion": 1}]}, "criterion of fc must be a name", ""),
    "a granularity": (
        {**HEADER, "cuts": [{**CUT, "granularity": "row"}]},
        "must be one of weight, channel, head, kv_group, block",
        "'row'",
    ),
    "a list of granularities": (
        {**HEADER, "cuts": [{**CUT, "granularity": []}]},
        "must be one of weight, channel, head, kv_group, block",
        "",
    ),
    "half a head": ({**HEADER, "cuts": [{**CUT, "granularity": "head"}]}, "goes whole", "no sparsity"),
    "twice": ({**HEADER, "cuts": [CUT, {**CUT, "sparsity": 0.1}]}, "names fc twice", "keep one line per target"),
}
for sparsity in (1.0, 50, -0.5, float("nan"), float("inf"), 10**400, True, "0.5", None, [0.5]):
    BAD[f"sparsity {sparsity!r}"] = (
        {**HEADER, "cuts": [{**CUT, "sparsity": sparsity}]}, "sparsity of fc must be a fraction", "Divide by 100"
    )  # fmt: skip


@pytest.mark.parametrize(("document", "what", "mend"), BAD.values(), ids=BAD)
def test_a_bad_plan_is_one_line_that_names_the_mend(document, what, mend, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(SecateurError) as error:
        SparsityPlan.read(path)
    message = str(error.value)
    assert str(path) in message
    assert what in message
    assert mend in message
    assert "\n" not in message


def test_a_plan_that_cannot_be_read_is_explained(tmp_path):
    with pytest.raises(SecateurError, match="No such file"):
        SparsityPlan.read(tmp_path / "none.json")
    with pytest.raises(SecateurError, match="directory"):
        SparsityPlan.read(tmp_path)
    (tmp_path / "weights").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(SecateurError, match="not text"):
        SparsityPlan.read(tmp_path / "weights")


def test_a_deeply_nested_file_is_not_a_crash(tmp_path):
    (tmp_path / "deep").write_text("[" * 100_000)
    with pytest.raises(SecateurError, match="not JSON"):
        SparsityPlan.read(tmp_path / "deep")


@given(plan=plans)
def test_a_plan_is_what_it_cuts_and_not_whom_it_was_made_for(plan):
    other = SparsityPlan(plan.cuts, "elsewhere.py")
    assert (other, hash(other)) == (plan, hash(plan))
    assert other.workload == "elsewhere.py"


@pytest.mark.parametrize("make", [np.float32, np.float64, np.float16])
def test_a_sparsity_may_be_a_number_of_numpy(make):
    plan = SparsityPlan((Cut("fc", "weight", make(0.5)),))
    assert plan == SparsityPlan((Cut("fc", "weight", 0.5),))
    assert SparsityPlan.from_json(plan.to_json()) == plan
    with pytest.raises(SecateurError, match="Divide by 100"):
        Cut("fc", "weight", make(50))
    with pytest.raises(SecateurError, match="must be a fraction"):
        Cut("fc", "weight", make("nan"))


@pytest.mark.parametrize(
    ("kinds", "forms"),
    [
        ((), ("masked",)),
        (("weight",), ("masked",)),
        (("2:4",), ("masked",)),
        (("channel", "weight"), ("masked", "shrunk")),
        (("head",), ("masked", "shrunk")),
        (("block",), ("shrunk",)),
        (("block", "weight"), ("shrunk",)),
    ],
)
def test_a_plan_says_which_forms_its_model_can_have(kinds, forms):
    sparsity = {"weight": 0.5, "channel": 0.5}
    assert SparsityPlan(tuple(Cut(f"t{i}", kind, sparsity.get(kind)) for i, kind in enumerate(kinds))).forms == forms
