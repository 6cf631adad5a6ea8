"""Criteria on the command line: which there are, a sweep by several, and an export whose weights were updated."""

import json

import pytest

from core.plans.criteria import FACTS
from tests.core.cli.running import document_of, refused, secateur

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]


@pytest.fixture
def calibrated_file(write_file, net_text):
    """The small net with calibration data."""
    return write_file(
        "net.py",
        net_text.replace(
            'accuracy(), batch_size=10)',
            'accuracy(), Examples(torch.randn(60, 6, generator=generator), torch.arange(60) % 3), batch_size=10)',
        ),
    )  # fmt: skip


def test_every_criterion_is_listed_with_its_paper_and_where_it_fits(calibrated_file):
    said = secateur("criteria").stdout
    assert all(name in said and facts.source in said and facts.meaning[:20] in said for name, facts in FACTS.items())
    assert {entry["criterion"]: entry["needs"] for entry in document_of("criteria")} == {
        name: facts.needs for name, facts in FACTS.items()
    }
    by_name = {entry["criterion"]: entry["targets"] for entry in document_of("criteria", calibrated_file)}
    weights = [target for target in by_name["wanda"] if target["granularity"] == "weight"]
    assert [(target["target"], target["reason"]) for target in weights] == [("fc1", None), ("fc2", None)]
    assert all("a criterion for channels" in t["reason"] for t in by_name["fpgm"] if t["granularity"] == "weight")
    assert "2 of 2" in secateur("criteria", calibrated_file).stdout


def test_a_sweep_by_several_is_compared_target_by_target(calibrated_file):
    done = document_of("sweep", calibrated_file, "--sparsities", "0.5,0.8", "--criteria", "magnitude,wanda,fpgm")
    run = done["run"]["id"]
    said = secateur("show", run).stdout
    assert "layer, by magnitude" in said
    assert "layer, by wanda" in said
    compared = document_of("show", run, "--compare", "--within", "50")
    assert compared["tolerance"] == 0.5  # accuracy is a fraction: 50 points
    assert "within 50.00 points" in secateur("show", run, "--compare", "--within", "50").stdout
    (first, second) = compared["granularities"]["weight"]
    assert [curve["criterion"] for curve in first["curves"]] == ["magnitude", "wanda", "fpgm"]
    assert "a criterion for channels" in second["curves"][2]["reason"]
    table = secateur("show", run, "--compare").stdout
    assert "best" in table
    assert "fc2" in table
    assert "–" in table


def test_what_cannot_be_compared_is_refused(calibrated_file):
    run = document_of("sweep", calibrated_file, "--sparsities", "0.5", "--criterion", "magnitude")["run"]["id"]
    assert "nothing to compare" in refused("show", run, "--compare")
    assert "add --compare" in refused("show", run, "--within", "0.1")
    for none, what in {"0": "above 0", "-1": "of at least 0", "nan": "of at least 0", "inf": "of at least 0"}.items():
        assert f"a drop {what}" in refused("show", run, "--compare", "--within", none)


@pytest.mark.process
def test_a_plan_whose_weights_are_updated_is_exported_and_verified_in_a_fresh_process(calibrated_file, tmp_path):
    for name in ("sparsegpt", "wanda", "fisher"):
        said = secateur("plan", calibrated_file, "--uniform", "0.5", "--criterion", name)
        assert {cut["criterion"] for cut in json.loads(said.stdout)["cuts"]} == {name}
        (tmp_path / "plan.json").write_text(said.stdout)
        document_of("export", calibrated_file, tmp_path / "plan.json", tmp_path / name)
        assert document_of("verify", tmp_path / name, "--model", calibrated_file)["verified"]


@pytest.mark.process
def test_a_shrunk_model_keeps_the_updated_weights(calibrated_file, tmp_path):
    plan = json.loads(secateur("plan", calibrated_file, "--channels", "0.5", "--criterion", "fpgm").stdout)
    updated = json.loads(secateur("plan", calibrated_file, "--uniform", "0.5", "--criterion", "sparsegpt").stdout)
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "cuts": [*plan["cuts"], *updated["cuts"]]}))
    document_of("shrink", calibrated_file, tmp_path / "plan.json", tmp_path / "out")
    assert document_of("verify", tmp_path / "out", "--model", calibrated_file)["verified"]


def test_a_model_without_calibration_data_is_told_what_to_add(net_file):
    assert "calibration=Examples" in refused("sweep", net_file, "--criteria", "wanda", "--sparsities", "0.5")
    assert "not for the channels" in refused("plan", net_file, "--channels", "0.5", "--criterion", "wanda")
