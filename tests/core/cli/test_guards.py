"""`--guard` of `minimise` and `refine`: no group loses more than that; held against plain torch."""

import json
from pathlib import Path

import pytest
import torch

from core import load_workload
from core.sensitivity.forwards.batches import batches_of
from tests.core.cli.running import document_of, refused, secateur
from tests.core.cli.test_tuning import FILE

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]
COLUMNS = FILE.replace(
    "accuracy(), batch_size=100)",
    'accuracy(), batch_size=100, columns={"side": ["left" if row[0] < -0.9 else "right" for row in x.tolist()]})',
)


@pytest.fixture
def net(write_file):
    return write_file("net.py", COLUMNS)


@pytest.fixture
def swept(net):
    assert secateur("sweep", net, "--no-preview").exit_code == 0
    return net


def drops_by_hand(net, document, column, rows):
    """Of each group of these rows what it loses and its size: the smallest weights of each layer are zeroed here."""
    workload = load_workload(str(net))
    x, labels = workload.evaluation.inputs[0][rows], workload.evaluation.labels[rows]
    dense = workload.model(x).argmax(1) == labels
    with torch.no_grad():
        for cut in document["cuts"]:
            weight = workload.model.get_parameter(cut["target"] + ".weight")
            gone = weight.abs().flatten().argsort(stable=True)[: round(cut["sparsity"] * weight.numel())]
            weight.view(-1)[gone] = 0.0
    after = workload.model(x).argmax(1) == labels
    values = [workload.all_columns()[column][row] for row in rows]
    found = {}
    for value in set(values):
        own = torch.tensor([one == value for one in values])
        found[value] = (float(dense[own].double().mean() - after[own].double().mean()), int(own.sum()))
    return found


def rows_of(net, samples, skip=0):
    return torch.cat(list(batches_of(load_workload(str(net)), samples, 0, skip=skip).positions)).tolist()


def plans_of(net):
    return {one["id"]: one for one in document_of("plans", net)}


def test_minimise_takes_only_plans_whose_groups_are_shown_to_keep_their_guard(swept):
    asked = ("minimise", swept, "--within", "25", "--plans", "6", "--samples", "400")
    free = document_of(*asked)["run"]["result"]
    result = document_of(*asked, "--guard", "side=14", "--guard", "class=60")["run"]["result"]
    assert any(not one["guarded"] for one in result["tries"])
    assert result["best"]["left"] > free["best"]["left"]  # what is asked for beside costs something
    hand = drops_by_hand(swept, result["best"]["document"], "side", rows_of(swept, 400))
    told = {one["value"]: one for one in result["best"]["groups"] if one["column"] == "side"}
    for value, one in told.items():
        assert (one["drop"]["value"], one["n"]) == pytest.approx(hand[value])
        assert one["drop"]["high"] <= 0.14
        assert one["high"] >= one["drop"]["high"]  # of all groups together
        assert one["says"] == "kept"
    assert max(drop for drop, _ in hand.values()) <= 0.14


def test_what_was_chosen_is_judged_group_by_group_on_examples_that_the_search_did_not_see(swept):
    done = document_of("minimise", swept, "--within", "30", "--plans", "5", "--guard", "side=25")
    result = done["run"]["result"]
    for one in result["judged"]:
        assert one["holds"] == (
            one["drop"]["value"] <= 0.3 and not any(group["says"] == "beyond" for group in one["groups"])
        )
    best = result["best"]
    assert best is not None
    hand = drops_by_hand(swept, best["document"], "side", rows_of(swept, 133, 267))
    for one in best["groups"]:
        if one["column"] == "side":
            assert (one["drop"]["value"], one["n"]) == pytest.approx(hand[one["value"]])
    said = secateur("show", done["run"]["id"]).stdout
    assert "groups together" in said


def test_a_guard_that_nothing_keeps_is_told_with_the_group(swept):
    done = secateur("minimise", swept, "--within", "40", "--plans", "3", "--guard", "class=0.5", "--samples", "400")
    assert "breaks a guard, class " in done.stdout
    assert "of at most 0.50 points" in done.stdout
    assert "interval and all, and every guard kept" in done.stdout


def test_refine_does_not_take_a_plan_that_breaks_a_guard(swept):
    words = ("refine", swept, "--left", "0.5", "--rounds", "3", "--samples", "200")
    free = document_of(*words)["run"]["result"]
    of_free = drops_by_hand(swept, free["best"]["document"], "side", rows_of(swept, 200))
    limit = max(drop for drop, _ in of_free.values()) - 0.01
    result = document_of(*words, "--guard", f"side={100 * limit}")["run"]["result"]
    if result["best"] is not None:
        hand = drops_by_hand(swept, result["best"]["document"], "side", rows_of(swept, 200))
        assert max(drop for drop, _ in hand.values()) <= limit
    else:
        assert any(one["says"] == "beyond" for one in result["broken"])
    done = secateur(*words, "--guard", "side=0", "--out", "none.json")
    assert "keeps every guard: of the nearest side " in done.stdout
    assert done.exit_code == 2
    assert not Path("none.json").exists()


def test_bad_guards_are_refused_in_a_line(swept):
    words = ("minimise", swept, "--within", "5", "--guard")
    assert "--guard expects COLUMN=POINTS, such as class=2, got 'class'" in refused(*words, "class")
    assert "--guard expects COLUMN=POINTS" in refused(*words, "class=-1")
    assert "twice; give it one limit" in refused(*words, "class=1", "--guard", "class=2")
    assert "no column 'kind' to guard the groups of net by; choose one of ['class', 'side']" in refused(
        *words, "kind=2"
    )


def test_a_measured_plan_tells_its_worst_groups(swept):
    cuts = [
        {"target": name, "granularity": "weight", "criterion": "magnitude", "sparsity": 0.7} for name in ("fc1", "fc2")
    ]
    document = {"format": "secateur.plan", "version": 1, "workload": None, "cuts": cuts}
    Path("plan.json").write_text(json.dumps(document))
    result = document_of("apply", swept, "plan.json")["run"]["result"]
    by_hand = {
        (column, value): found
        for column in ("class", "side")
        for value, found in drops_by_hand(swept, document, column, rows_of(swept, 400)).items()
        if found[1] > 1  # one example has no interval
    }
    assert {one["of"] for one in result["groups"]} == {len(by_hand)}
    for one in result["groups"]:
        assert (one["drop"]["value"], one["n"]) == pytest.approx(by_hand[one["column"], one["value"]])
    assert result["groups"][0]["drop"]["value"] == pytest.approx(max(drop for drop, _ in by_hand.values()))
    worst = next(one for one in result["groups"] if one["worse"])
    said = secateur("apply", swept, "plan.json").stdout
    assert "Worse than dense, also after looking at so many" in said
    assert f"{worst['column']} {worst['value']} +" in said


def test_solve_says_that_only_measuring_keeps_a_guard(swept):
    said = refused("solve", swept, "--left", "0.5", "--guard", "class=3")
    assert f"measure plans instead: `secateur refine {swept} --left 0.5 --guard class=3`" in said
    said = refused("solve", swept, "--within", "2", "--cost", "flops", "--guard", "class=3", "--guard", "side=2")
    assert f"minimise {swept} --within 2 --cost flops --guard class=3 --guard side=2`" in said
