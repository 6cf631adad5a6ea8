"""What is said of a model's reach: how much of it can be cut, and what holds the rest back."""

from core.workload.target import Target, Uncuttable
from core.workload.target_words import reach_text


def weight(n):
    return Target("a", "weight", "Linear", "a.weight", (n,), n)


def test_the_share_comes_first():
    targets = (weight(970), Target("at:0", "head", "Attention", "at.o.weight", (4, 4), 8, layer="at", head=0))
    said = reach_text(targets, (Uncuttable("b", (30,), "bias: one number per output"),), 1000)
    assert said == "97 % of 1,000 parameters can be cut; 1 head, 0 coupled groups"


def test_of_little_the_largest_reason_is_said():
    left = (Uncuttable("r", (30, 30), "recurrent weights are not cut yet"), Uncuttable("b", (30,), "bias"))
    said = reach_text((weight(70),), left, 1000)
    assert said.startswith("only 7.0 % of 1,000 parameters can be cut")
    assert said.endswith("most of the rest (900): recurrent weights are not cut yet")


def test_a_model_without_parameters_is_no_division_by_zero():
    assert reach_text((), (), 0).startswith("only 0 ")
