"""A map as plain values: marks, groups, what is coloured how strongly, and why a place is empty."""

from hypothesis import given
from hypothesis import strategies as st

from core.plans.plan import Cut
from core.sensitivity.maps.described import limits_of, map_of
from core.sensitivity.maps.groups import groups_of
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.maps.marks import MARKS, MEANINGS
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.metric import accuracy

SCALE = accuracy().scale
NAMES = ("stem", *(f"stage.{block}.{layer}" for block in range(4) for layer in ("a", "b", "c")), "head.fc")


def cell(target, sparsity, drop=None, spread=0.001, state="measured", reason=None):
    estimate = None if drop is None else Estimate(drop, drop - spread, drop + spread, 500)
    cut = Cut(target, "weight", sparsity, "magnitude")
    return CellResult(cut, 5, 10, state, estimate, estimate, reason)


def drawn(*cells, **more):
    return map_of(sparsity_grid(cells), SensitivityReport("r", "m", SCALE, None, cells), **more)


def test_only_marks_that_occur_are_in_the_key():
    found = drawn(
        cell("a", 0.5, 0.05), cell("a", 0.9, 0.0, 0.02), cell("b", 0.5, state="waiting"),
        cell("b", 0.9, state="failed", reason="too small"),
    )  # fmt: skip
    assert found.marks == ("undecided", "waiting", "failed")
    assert [one.mark for one in found.cells] == [None, "undecided", "waiting", "failed"]
    assert [one.is_pale for one in found.cells[:2]] == [False, True]
    assert found.cells[3].lines == ("b: 90 % removed (5 of 10 weights)", "cannot be cut so: too small")
    assert MARKS.keys() == MEANINGS.keys()


def test_nine_points_that_may_be_nothing_are_undecided_however_many_cells_there_are():
    cells = [cell(f"layer{i}", 0.5, 0.09, 0.12) for i in range(700)]
    assert {one.mark for one in drawn(*cells).cells} == {"undecided"}


def test_what_was_not_measured_has_no_number():
    (one,) = drawn(cell("a", 0.5, state="waiting")).cells
    assert (one.drop, one.low, one.high, one.n, one.grey) == (None,) * 5


def test_modules_with_three_rows_are_groups_within_groups():
    groups = groups_of(NAMES)
    assert [(group.path, group.depth, group.parent) for group in groups] == [
        ("stage", 0, None), ("stage.0", 1, 0), ("stage.1", 1, 0), ("stage.2", 1, 0), ("stage.3", 1, 0),
    ]  # fmt: skip
    assert groups[0].rows == tuple(range(1, 13))
    assert groups[2].rows == (4, 5, 6)
    found = drawn(*(cell(name, 0.5, 0.1) for name in NAMES))
    assert [row.group for row in found.rows] == [None, *(1 + i for i in range(4) for _ in range(3)), None]


def test_a_few_rows_have_no_groups_and_a_module_that_holds_all_is_none():
    assert groups_of(NAMES[:12]) == ()
    assert groups_of([f"model.layers.0.{i}" for i in range(20)]) == ()


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(".".join)


@given(st.lists(PATHS, unique=True, min_size=13, max_size=60))
def test_groups_nest_and_hold_the_rows_of_their_path(names):
    groups = groups_of(names)
    for i, group in enumerate(groups):
        assert group.rows == tuple(k for k, name in enumerate(names) if name.startswith(group.path + "."))
        assert group.depth == (0 if group.parent is None else groups[group.parent].depth + 1) <= 1
        if group.parent is not None:
            assert group.parent < i
            assert set(group.rows) < set(groups[group.parent].rows)


def test_limits_are_told_by_kind():
    cells = (cell("a", 0.5, 0.001), cell("a", 0.9, 0.2), cell("b", 0.5, 0.2))
    assert limits_of(sparsity_grid(cells), 0.01) == {"weights": (0.5, None)}
