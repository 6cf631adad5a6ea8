"""What a sweep may be asked."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from torch import nn

from core import SecateurError, SweepRequest
from core.sensitivity.cells import plan_cells
from core.sensitivity.request import DEFAULT_SPARSITIES
from core.workload.discovery import find_targets


def test_sparsities_are_kept_sorted_and_distinct_without_0_which_is_no_cut():
    assert SweepRequest("m", (0.9, 0.1, 0.9, 0)).sparsities == (0.1, 0.9)
    with pytest.raises(SecateurError, match="nothing to sweep"):
        SweepRequest("m", (0,), heads=False)


def test_sparsities_may_be_numbers_of_numpy():
    request = SweepRequest("m", tuple(np.array([0.5, 0.25])))
    assert request.sparsities == (0.25, 0.5)
    assert {type(sparsity) for sparsity in request.sparsities} == {float}
    assert SweepRequest("m", np.linspace(0.25, 0.75, 3)).sparsities == (0.25, 0.5, 0.75)
    json.dumps(asdict(request))


def test_the_default_grid_is_the_documented_one():
    assert SweepRequest("m").sparsities == DEFAULT_SPARSITIES == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def test_a_request_survives_the_trip_through_json():
    request = SweepRequest("m", (0.5,), "fc", False, 20, seed=3)
    assert SweepRequest.from_json(json.loads(json.dumps(asdict(request)))) == request


@pytest.mark.parametrize(
    ("fields", "mend"),
    [
        ({"sparsities": (50,)}, "Divide by 100"),
        ({"sparsities": (1.0,)}, "Divide by 100"),
        ({"sparsities": (float("nan"),)}, "Divide by 100"),
        ({"sparsities": (-0.1,)}, "must be a fraction"),
        ({"sparsities": (), "heads": False}, "nothing to sweep"),
        ({"sparsities": 0.5}, r"sparsities must be several fractions such as \(0.5, 0.9\), got 0.5"),
        ({"sparsities": np.float32(0.5)}, "must be several fractions"),
        ({"sparsities": "0.5"}, "must be several fractions"),
        ({"sparsities": (True,)}, "must be a fraction"),
        ({"samples": 1}, "at least 2"),
        ({"samples": True}, "at least 2"),
        ({"samples": "some"}, "at least 2"),
        ({"layers": "("}, "is not a regular expression"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(fields, mend):
    with pytest.raises(SecateurError, match=mend):
        SweepRequest("m", **fields)


def test_cells_are_layers_by_sparsities_then_heads_with_exact_counts(attentive):
    cells = plan_cells(find_targets(attentive.model)[0], SweepRequest("m", (0.5, 0.1)))
    assert [(c.cut.target, c.cut.sparsity, c.n_removed, c.n_weights) for c in cells] == [
        ("attn.in_proj", 0.1, 19, 192),
        ("attn.in_proj", 0.5, 96, 192),
        ("attn.out_proj", 0.1, 6, 64),
        ("attn.out_proj", 0.5, 32, 64),
        ("fc", 0.1, 2, 24),
        ("fc", 0.5, 12, 24),
        ("attn:0", None, 32, 32),
        ("attn:1", None, 32, 32),
    ]


def test_layers_are_searched_by_regular_expression(attentive):
    def chosen(**fields):
        return {c.cut.target for c in plan_cells(find_targets(attentive.model)[0], SweepRequest("m", (0.5,), **fields))}

    assert chosen(layers="^attn.*proj$") == {"attn.in_proj", "attn.out_proj"}
    assert chosen(layers=":1") == {"attn:1"}
    assert chosen(heads=False) == {"attn.in_proj", "attn.out_proj", "fc"}


def test_layers_that_match_nothing_are_told_what_there_is(attentive):
    targets = find_targets(attentive.model)[0]
    with pytest.raises(SecateurError, match=r"matches no target; there are 5: attn.in_proj"):
        plan_cells(targets, SweepRequest("m", layers="conv"))
    with pytest.raises(SecateurError, match="leaves out; see --heads"):
        plan_cells(targets, SweepRequest("m", layers=":0", heads=False))
    with pytest.raises(SecateurError, match="nothing that can be cut; `secateur targets` lists the reasons"):
        plan_cells((), SweepRequest("m"))


def test_a_model_of_a_thousand_layers_is_laid_out_cell_by_cell():
    targets = find_targets(nn.Sequential(*(nn.Linear(2, 2) for _ in range(1000))))[0]
    cells = plan_cells(targets, SweepRequest("m"))
    assert len(cells) == 10_000
    assert [cell.cut.target for cell in cells[::10]] == [str(i) for i in range(1000)]
