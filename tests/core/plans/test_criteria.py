"""Facts of criteria: every one is known to both registries, and says where it has no meaning."""

import pytest

from core import Cut, SecateurError, SparsityPlan
from core.plans.criteria import FACTS, checked_criterion, why_not
from core.workload.target import Member, Target

LINEAR = Target("fc", "weight", "Linear", "fc.weight", (4, 8), 32)
EMBEDDING = Target("tokens", "weight", "Embedding", "tokens.weight", (9, 8), 72, layout="looked_up")
TIED = Target("tokens", "weight", "Embedding", "tokens.weight", (9, 8), 72, ("head.weight",), layout="looked_up")
TRANSPOSED = Target("up", "weight", "ConvTranspose2d", "up.weight", (4, 8, 3, 3), 288, layout="inputs_first")
BILINEAR = Target("both", "weight", "Bilinear", "both.weight", (4, 8, 8), 256, layout="two_inputs")
HEAD = Target("attn:0", "head", "Attention", "out.weight", (8, 8), 32, layer="attn", head=0)
BARE = Target(
    "conv", "channel", "Conv2d", "conv.weight", (4, 8, 3, 3), 300, n_units=4, members=(Member("conv", "outputs"),)
)
NORMED = Target(
    "conv", "channel", "Conv2d", "conv.weight", (4, 8, 3, 3), 300, n_units=4,
    members=(Member("conv", "outputs"), Member("bn", "norm")),
)  # fmt: skip
BLOCK = Target("blocks.0", "block", "Block", "skip blocks.0", (), 99)


def test_functions_and_facts_have_the_same_names():
    from core.pruning.criteria.registry import CHANNEL_CRITERIA, CRITERIA, SUMS  # needs torch; the facts do not

    by_kind = {
        kind: {name for name, facts in FACTS.items() if kind in facts.scores} for kind in ("weights", "channels")
    }
    updating = {name for name, facts in FACTS.items() if facts.updates}
    assert by_kind == {"weights": set(CRITERIA) | updating, "channels": set(CHANNEL_CRITERIA)}
    assert {name for name, facts in FACTS.items() if facts.needs != "weights"} == set(SUMS)


@pytest.mark.parametrize("name", FACTS)
def test_every_criterion_has_a_line_for_the_menu_and_a_paper(name):
    facts = FACTS[name]
    assert facts.meaning
    assert not facts.meaning.endswith(".")
    assert facts.paper[-4:].isdigit()
    assert facts.source.startswith(("arXiv:", "doi:"))
    assert facts.scores


@pytest.mark.parametrize(
    ("name", "target", "granularity", "reason"),
    [
        ("wanda", EMBEDDING, None, "multiplies nothing"),
        ("sparsegpt", EMBEDDING, None, "multiplies nothing"),
        ("wanda", TRANSPOSED, None, "transposed convolution"),
        ("sparsegpt", BILINEAR, "2:4", "bilinear"),
        ("sparsegpt", LINEAR, "4x4", "no tiles"),
        ("wanda", NORMED, None, "not for the channels of conv"),
        ("sparsegpt", HEAD, None, "not for the heads of attn:0"),
        ("bn_scale", BARE, None, "no batch normalisation"),
        ("bn_scale", LINEAR, None, "a criterion for channels"),
        ("fpgm", HEAD, None, "a criterion for channels"),
        ("apoz", LINEAR, "2:4", "a criterion for channels"),
        ("head_gradient", LINEAR, None, "a criterion for heads"),
        ("magnitude", BLOCK, None, "goes whole"),
    ],
)  # fmt: skip
def test_a_criterion_says_where_it_has_no_meaning(name, target, granularity, reason):
    found = why_not(name, target, granularity)
    assert reason in found
    assert not found.endswith(".")


@pytest.mark.parametrize(
    ("name", "target", "granularity"),
    [
        ("wanda", LINEAR, None), ("wanda", LINEAR, "4x4"), ("wanda", TIED, None), ("wanda", HEAD, None),
        ("sparsegpt", LINEAR, "2:4"), ("bn_scale", NORMED, None), ("head_gradient", HEAD, None),
        *((name, target, None) for name in ("magnitude", "l2", "random", "taylor", "snip", "fisher")
          for target in (LINEAR, EMBEDDING, TRANSPOSED, BILINEAR, BARE, HEAD)),
    ],
)  # fmt: skip
def test_and_is_silent_where_it_has_one(name, target, granularity):
    assert why_not(name, target, granularity) is None


@pytest.mark.parametrize("name", ["best", "", None, 1])
def test_an_unknown_criterion_names_the_known_ones(name):
    for check in (lambda: checked_criterion(name), lambda: why_not(name, LINEAR)):
        with pytest.raises(SecateurError, match=r"no criterion .*; choose one of \['apoz'.*'wanda'\]"):
            check()


def test_a_cut_by_an_unknown_criterion_is_refused():
    with pytest.raises(SecateurError, match="no criterion 'best'"):
        Cut("fc", "weight", 0.5, "best")


def test_a_uniform_plan_leaves_alone_what_its_criterion_does_not_fit():
    targets = (LINEAR, EMBEDDING)
    assert [cut.target for cut in SparsityPlan.uniform(targets, 0.5, "wanda").cuts] == ["fc"]
    assert [cut.target for cut in SparsityPlan.uniform(targets, 0.5, "fisher").cuts] == ["fc", "tokens"]
    assert SparsityPlan.patterned(targets, "4x4", 0.5, "sparsegpt").cuts == ()
    assert [cut.target for cut in SparsityPlan.patterned(targets, "2:4", None, "sparsegpt").cuts] == ["fc"]
