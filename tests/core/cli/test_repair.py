"""A repair from its sweep to its bundle, as commands do it; raw and repaired never answer for one another."""

import json

import pytest

from core.plans.plan import SparsityPlan
from tests.core.cli.running import document_of, refused, secateur

pytestmark = pytest.mark.process

NORMED = """
import torch
from torch import nn
from core import Examples, Workload, accuracy


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.bn, self.fc2 = nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)
        self.mid = nn.Linear(12, 12)

    def forward(self, x):
        return self.fc2(torch.relu(self.bn(self.mid(torch.relu(self.fc1(x))))))


def workload():
    torch.manual_seed(0)
    model = Net()
    x = torch.randn(300, 6)
    y = (x[:, :3] + 0.5 * x[:, 3:]).argmax(1)
    step = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        step.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        step.step()
    z = torch.randn(200, 6)
    labels = (z[:, :3] + 0.5 * z[:, 3:]).argmax(1)
    evaluation, calibration = Examples(z[:120], labels[:120]), Examples(z[120:], labels[120:])
    return Workload("normed", model.eval(), evaluation, accuracy(), calibration=calibration, batch_size=40)
"""


@pytest.fixture
def normed(own_folder, tmp_path, monkeypatch, write_file):
    monkeypatch.chdir(tmp_path)
    return write_file("normed.py", NORMED)


def swept(model, *words):
    return document_of("sweep", model, "--channels", "--sparsities", "0.5", "--no-preview", *words)


def drops(document):
    return {
        (cell["cut"]["granularity"], cell["cut"]["target"]): (cell["drop"] or {}).get("value")
        for cell in document["report"]["cells"]
    }


def test_repaired_cells_stand_beside_the_raw_ones_and_answer_only_for_plans_repaired_alike(normed, tmp_path):
    raw = swept(normed)
    repaired = swept(normed, "--repair", "least-squares")
    assert drops(raw).keys() == drops(repaired).keys()
    assert drops(raw) != drops(repaired)
    keys = [{cell["evidence"] for cell in document["report"]["cells"]} for document in (raw, repaired)]
    assert not keys[0] & keys[1]
    again = swept(normed, "--repair", "least-squares")
    assert drops(again) == drops(repaired)
    assert again["run"]["reused"] == again["run"]["total"] > 0  # all of it was on disk
    shown = secateur("show", repaired["run"]["id"]).stdout
    assert "Every cut repaired by least-squares" in shown
    assert "measured both ways the repair is surely better in" in shown

    solved = document_of("solve", normed, "--left", "0.6", "--repair", "least-squares")
    assert solved["plan"]["repair"] == "least-squares"
    assert "repair" not in document_of("solve", normed, "--left", "0.6")["plan"]
    said = refused("solve", normed, "--left", "0.6", "--repair", "full")
    assert "was measured repaired by full" in said
    assert "--repair full` first" in said
    (tmp_path / "plan.json").write_text(json.dumps(solved["plan"]))
    assert "predicted" in secateur("predict", normed, "plan.json").stdout.lower()


@pytest.mark.parametrize("repair", ["bias", "least-squares", "full"])
def test_a_plan_carries_its_repair_into_the_bundle_which_is_verified_and_made_again(normed, tmp_path, repair):
    words = ("--channels", "0.5", "--uniform", "0.3")
    plan = json.loads(secateur("plan", normed, *words, "--repair", repair, "--out", "plan.json", "--json").stdout)
    assert (plan["version"], plan["repair"]) == (2, repair)
    assert SparsityPlan.read(tmp_path / "plan.json").repair == repair
    raw = json.loads(secateur("plan", normed, *words).stdout)
    (tmp_path / "raw.json").write_text(json.dumps(raw))
    assert "repair" not in raw
    applied = document_of("apply", normed, "plan.json")["run"]["result"]
    assert applied["pruned"] != document_of("apply", normed, "raw.json")["run"]["result"]["pruned"]
    assert (
        f"raw.json is raw, plan.json repaired by {repair}." in secateur("diff", normed, "raw.json", "plan.json").stdout
    )
    for form in ("masked", "shrunk"):
        done = secateur("export", normed, "plan.json", f"out/{form}", "--form", form, "--format", "safetensors")
        assert done.exit_code == 0, done.stderr
        assert secateur("verify", f"out/{form}", "--model", normed).exit_code == 0
        done = secateur("reproduce", f"out/{form}", "--model", normed)
        assert done.exit_code == 0, done.stderr
    assert "its repair" in refused("recover", normed, "plan.json", "--rounds", "1")


def test_what_cannot_be_repaired_is_a_failed_cell_with_its_reason(normed):
    cells = swept(normed, "--repair", "batchnorm")["report"]["cells"]
    by = {(cell["cut"]["granularity"], cell["cut"]["target"]): cell for cell in cells}
    assert by["weight", "fc2"]["state"] == "failed"
    assert by["weight", "fc2"]["reason"] == (
        "no repair by batchnorm: no batch normalisation runs on what the cut changes"
    )
    assert by["channel", "fc1"]["state"] == "measured"


def test_without_calibration_data_a_repair_is_refused(normed, write_file):
    bare = write_file("bare.py", NORMED.replace("calibration=calibration, ", ""))
    done = secateur("sweep", bare, "--repair", "least-squares")
    assert done.exit_code == 2
    assert "has no calibration data, which repairs look at" in done.stderr
    assert "no calibration data" in refused("plan", bare, "--uniform", "0.5", "--repair", "bias")


def test_an_unknown_repair_is_refused_by_command_and_by_plan(normed, tmp_path):
    assert secateur("sweep", normed, "--repair", "glue").exit_code == 2
    document = json.loads(secateur("plan", normed, "--uniform", "0.5", "--repair", "bias").stdout)
    for field, value, says in (("repair", "glue", "no repair 'glue'"), ("version", 1, "is of version 2")):
        (tmp_path / "bad.json").write_text(json.dumps({**document, field: value}))
        assert says in refused("apply", normed, "bad.json")
