"""What differs between two plans: by hand, and as what must be done to one to get the other."""

from hypothesis import given
from hypothesis import strategies as st

from core import Cut, SparsityPlan
from core.plans.diff import PlanDifference, compared, diff
from core.workload.description import Description
from core.workload.metric import accuracy
from core.workload.target import Target

STEM = Target("stem", "weight", "Linear", "stem.weight", (8, 4), 32)
FC = Target("fc", "weight", "Linear", "fc.weight", (2, 8), 16)
FOUND = Description("net", "net", "f", accuracy().scale, 10, None, None, 10, 100, (STEM, FC), ())


def plans():
    cuts = st.tuples(
        st.sampled_from("abcd"), st.sampled_from(["weight", "channel", "head"]), st.sampled_from([0.25, 0.5])
    )
    made = st.lists(cuts, max_size=6, unique_by=lambda cut: cut[:2])
    return made.map(lambda found: SparsityPlan(tuple(Cut(n, g, None if g == "head" else s) for n, g, s in found)))


def test_a_line_added_a_line_gone_and_a_line_changed():
    a = SparsityPlan((Cut("fc", "weight", 0.5), Cut("stem", "weight", 0.25), Cut("attn:0", "head")))
    b = SparsityPlan((Cut("fc", "weight", 0.5), Cut("stem", "weight", 0.75), Cut("fc", "channel", 0.5)))
    assert diff(a, b) == (
        PlanDifference("attn:0", "head", Cut("attn:0", "head"), None),
        PlanDifference("fc", "channel", None, Cut("fc", "channel", 0.5)),
        PlanDifference("stem", "weight", Cut("stem", "weight", 0.25), Cut("stem", "weight", 0.75)),
    )


def test_the_order_is_the_network_s_where_it_is_known():
    b = SparsityPlan(tuple(Cut(name, "weight", 0.5) for name in ("fc", "stem", "other", "another")))
    assert [one.target for one in diff(SparsityPlan(), b, ["stem", "fc", "stem"])] == ["stem", "fc", "another", "other"]


def test_another_criterion_is_a_difference():
    a, b = (SparsityPlan((Cut("fc", "weight", 0.5, criterion),)) for criterion in ("magnitude", "random"))
    assert [(one.before.criterion, one.after.criterion) for one in diff(a, b)] == [("magnitude", "random")]


def test_two_plans_of_a_described_model_are_compared_with_what_each_removes():
    found = compared(SparsityPlan((Cut("fc", "weight", 0.5),)), SparsityPlan((Cut("stem", "weight", 0.25),)), FOUND)
    assert [one.target for one in found.differences] == ["stem", "fc"]
    assert (found.before.n_removed, found.after.n_removed, found.after.n_weights) == (8, 8, 48)


@given(a=plans(), b=plans())
def test_the_differences_are_what_turns_one_plan_into_the_other(a, b):
    found = diff(a, b)
    lines = {(cut.granularity, cut.target): cut for cut in a.cuts}
    for one in found:
        assert lines.get((one.granularity, one.target)) == one.before != one.after
        lines[one.granularity, one.target] = one.after
    assert SparsityPlan(tuple(cut for cut in lines.values() if cut is not None)) == b
    assert (found == ()) == (a == b)
    assert {(one.target, one.after, one.before) for one in found} == {
        (one.target, one.before, one.after) for one in diff(b, a)
    }
