"""`secateur compare`: two maps beside each other, as a map and as a list."""

import pytest
import torch

from core import Cut, SparsityPlan, load_workload
from tests.core.cli.running import document_of, refused, secateur

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]

MANY = """
def workload():
    from dataclasses import replace

    few = dense()
    x = torch.randn(900, 6, generator=torch.Generator().manual_seed({data}))
    labels = x[:, :3].argmax(1)
    with torch.no_grad():
        few.model.fc2.weight.copy_(torch.eye(3, 8))
        few.model.fc1.weight.copy_(torch.eye(8, 6))
        few.model.fc1.bias.fill_(3.0)
        few.model.fc2.bias.zero_()
        {change}
    return replace(few, evaluation=Examples(x, labels), batch_size=100)
"""


@pytest.fixture
def swept(write_file, net_text):
    def of(name, change="pass", data=3, *more):
        text = net_text.replace("def workload():", "def dense():") + MANY.format(change=change, data=data)
        run = document_of("sweep", write_file(name, text), "--sparsities", "0.9", "--no-heads", *more)["run"]
        return run["id"]

    return of


def drop_of(file, sparsity=0.9):
    """Of fc1 at a sparsity, in plain torch."""
    workload = load_workload(str(file))
    x, labels = workload.evaluation.inputs[0], workload.evaluation.labels
    with torch.no_grad():
        dense = (workload.model(x).argmax(1) == labels).double().mean()
        weight = workload.model.fc1.weight
        gone = weight.flatten().abs().argsort(stable=True)[: round(sparsity * weight.numel())]
        weight.view(-1)[gone] = 0
        return float(dense - (workload.model(x).argmax(1) == labels).double().mean())


def test_a_layer_that_became_sensitive_is_found_and_the_same_model_has_not_moved(swept, tmp_path):
    # spread over more weights, the same function: cutting 90 % of fc1 then costs what it did not
    a = swept("a.py")
    b = swept("b.py", "few.model.fc1.weight[3:].add_(torch.full((5, 6), 2.0))")
    found = document_of("compare", a, b)
    by = {one["cut"]["target"]: one for one in found["cells"]}
    assert by["fc1"]["direction"] == "more"
    expected = drop_of(tmp_path / "b.py") - drop_of(tmp_path / "a.py")
    assert by["fc1"]["difference"]["value"] == pytest.approx(expected, abs=1e-6)
    assert by["fc1"]["difference"]["low"] > 0
    listed = secateur("compare", a, b, "--list").stdout
    assert "fc1" in listed
    assert "fc2" not in listed
    assert "fc2" in secateur("compare", a, b, "--list", "--all").stdout
    assert "1 cost more" in listed
    assert "1 cost more" in secateur("compare", a, b).stdout
    back = document_of("compare", b, a)
    assert {one["cut"]["target"]: one["direction"] for one in back["cells"]}["fc1"] == "less"
    again = swept("a.py", "pass", 3, "--samples", 900)
    same = document_of("compare", a, again)
    assert {one["direction"] for one in same["cells"]} == {"unclear"}
    assert "0 cost more" in secateur("compare", a, again, "--list").stdout


def test_maps_that_cannot_be_compared_are_refused_as_a_list_and_stand_beside_each_other_else(swept, net_file, tmp_path):
    a, other = swept("a.py"), swept("c.py", data=4)
    assert "share no batch" in refused("compare", a, other, "--list")
    beside = secateur("compare", a, other).stdout
    assert "Not compared: " in beside
    assert "fc1" in beside
    assert "confidence must lie" in refused("compare", a, other, "--confidence", "20")
    assert "name another to set beside it" in refused("compare", a, a)
    plan = tmp_path / "plan.json"
    plan.write_text(SparsityPlan((Cut("fc1", "weight", 0.5),)).to_json())
    assert "(of kind measure)" in refused("compare", a, document_of("apply", net_file, plan)["run"]["id"])
