"""Files of engines in a bundle: each gives what torch gives where its engine is, or says why it was not compared."""

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from core import SparsityPlan
from core.delivery import bundle_words
from core.delivery.bundles.verify import verify_bundle
from core.delivery.formats import engine_files, facts
from core.delivery.formats.facts import FORMATS, check_there, missing
from core.delivery.formats.registry import check_formats, write_formats
from core.delivery.formats.subject import CannotHoldError, Subject
from core.engines.adapters.needs import NEEDS, NotInstalled
from core.errors import SecateurError
from tests.core.cli.running import refused
from tests.engines_there import there

pytestmark = pytest.mark.process
ENGINES = [name for name, one in FORMATS.items() if one.needs is not None]
RUN = [name for name in ENGINES if FORMATS[name].run]


class Small(nn.Module):
    """Convolution, normalisation, linear, and two outputs in a dictionary."""

    def __init__(self, width):
        super().__init__()
        torch.manual_seed(width)
        self.first, self.norm, self.head = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.Linear(width, 5)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)
            self.first.weight *= torch.rand_like(self.first.weight) > 0.8

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x))).mean((2, 3))
        return {"logits": self.head(x), "features": x}


def subject_in(name, width=7):
    _, python = there(name)
    x = torch.randn(6, 3, 9, 9)
    return Subject(Small(width).eval(), ((x,), (x[:3],)), pythons={name: python} if python else {})


def test_every_format_of_an_engine_is_an_engine_with_facts_of_its_own():
    assert set(ENGINES) <= set(NEEDS)
    assert all(FORMATS[name].needs is NEEDS[name] for name in ENGINES)
    assert all("batches of any size" in FORMATS[name].holds for name in ENGINES if FORMATS[name].sized)
    assert all("for one example at a time" in FORMATS[name].holds for name in ENGINES if not FORMATS[name].sized)
    assert all("not run here" in FORMATS[name].holds for name in ENGINES if not FORMATS[name].run)


@pytest.mark.slow
@pytest.mark.engines
@pytest.mark.parametrize("name", RUN)
def test_an_engine_reads_what_was_written_and_a_change_in_memory_is_seen(name, tmp_path):
    subject = subject_in(name)
    version, _ = there(name)
    written = write_formats(subject, [name], tmp_path)[0][name]
    assert 0 <= written["difference"] <= FORMATS[name].tolerance
    assert written["engine"].endswith(version)
    assert all((tmp_path / file).is_file() for file in written["files"])
    assert written["inputs"] == [[None if FORMATS[name].sized else 1, 3, 9, 9]] or FORMATS[name].sized
    assert written["inputs"][0][0] == (None if FORMATS[name].sized else 1)
    assert check_formats(subject, [name], tmp_path)[name] == pytest.approx(written["difference"], abs=1e-6)
    with torch.no_grad():
        subject.model.head.bias += 1
    with pytest.raises(SecateurError, match=rf"the format {name} is not what was exported: .*; export it again"):
        check_formats(subject, [name], tmp_path)


@pytest.mark.slow
@pytest.mark.engines
def test_a_core_ml_package_is_read_back_weight_by_weight_and_never_called_verified(tmp_path):
    subject = subject_in("coreml")
    written = write_formats(subject, ["coreml"], tmp_path)[0]["coreml"]
    assert written["difference"] is None
    assert written["not_run"] == "Core ML runs on Apple's systems alone"
    assert written["weights"] == {"same_bits": 1, "scaled": 1, "of": 2}  # the norm is folded into the convolution
    assert check_formats(subject, ["coreml"], tmp_path) == {"coreml": None}
    assert check_formats(subject, ["coreml"], tmp_path, told={"coreml": written}) == {"coreml": None}
    told = {"coreml": {**written, "weights": {"same_bits": 2, "scaled": 0, "of": 2}}}
    with pytest.raises(SecateurError, match="its manifest says same_bits 2, scaled 0, of 2; export it again"):
        check_formats(subject, ["coreml"], tmp_path, told=told)
    files = {file: {"bytes": (tmp_path / file).stat().st_size} for file in written["files"]}
    manifest = {"formats": {"coreml": written}, "files": files}
    assert "not run here" in bundle_words.format_lines(manifest)[0]
    (line,) = bundle_words.not_run_lines(manifest)
    assert "read back: 1 of the model's 2 weights bit for bit, 1 as a folded batch norm scales them" in line
    assert "1 example × 3 × 9 × 9" in bundle_words.shape_lines(manifest)[0]
    subject = replace(subject, batches=tuple((x[..., :8],) for (x,) in subject.batches))
    with pytest.raises(
        SecateurError, match=r"has inputs of the shapes \[\[1, 3, 9, 9\]\] in place of \[\[1, 3, 9, 8\]\]"
    ):
        check_formats(subject, ["coreml"], tmp_path)


@pytest.mark.slow
@pytest.mark.engines
def test_a_bundle_is_verified_with_the_engine_and_says_what_it_did_not_check_without(net_file, tmp_path, monkeypatch):
    _, python = there("openvino")
    pythons = {"openvino": python} if python else {}
    words = [f"--python=openvino={python}"] if python else []
    from tests.core.cli.running import document_of

    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "ws"))
    (tmp_path / "plan.json").write_text(SparsityPlan().to_json())
    out = tmp_path / "out"
    document_of("export", net_file, tmp_path / "plan.json", out, "--format", "openvino", *words)
    made = json.loads((out / "manifest.json").read_text())["formats"]["openvino"]
    assert made["engine"].startswith("OpenVINO 20")
    found = verify_bundle(out, str(net_file), pythons=pythons)
    assert found["formats"]["openvino"] <= 1e-4
    assert "not_checked" not in found
    assert f"| openvino | {made['engine']} |" in (out / "card.md").read_text()
    monkeypatch.setattr(facts, "version_there", gone)
    found = verify_bundle(out, str(net_file))
    assert found["not_checked"] == {"openvino": "not installed: pip install 'secateur[openvino]'"}
    assert "openvino was not checked: not installed" in bundle_words.verified_text(found)
    (out / "openvino" / "model.bin").write_bytes(b"changed")
    with pytest.raises(SecateurError, match="hash differs"):
        verify_bundle(out, str(net_file), pythons=pythons)


def gone(distributions, extra, python=None):
    raise NotInstalled(f"not installed: pip install 'secateur[{extra}]'")


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_is_not_there_is_refused_before_long_work_with_the_way_to_get_it(name, monkeypatch):
    monkeypatch.setattr(facts, "version_there", gone)
    with pytest.raises(
        SecateurError, match=rf"the format {name} .* pip install 'secateur\[{name}\]'; .*--python {name}="
    ):
        check_there([name], {})
    check_there([name], {}, skip=True)
    check_there(["onnx", "pt2"], {})
    assert missing(name) == f"not installed: pip install 'secateur[{name}]'"
    assert missing("onnx") is None


def test_the_command_refuses_at_once_and_skips_when_told(net_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "ws"))
    (tmp_path / "plan.json").write_text(SparsityPlan().to_json())
    words = ("export", net_file, tmp_path / "plan.json", tmp_path / "out", "--format", "ncnn")
    monkeypatch.setattr(facts, "version_there", gone)
    assert "pip install 'secateur[ncnn]'; leave ncnn out, or name" in refused(*words)
    assert "which is no engine that writes a format; choose of openvino" in refused(*words, "--python", "tvm=/x")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()


def test_an_interpreter_that_is_none_is_refused(tmp_path):
    with pytest.raises(SecateurError, match=r"/no/such/python is no Python that can be asked"):
        check_there(["ncnn"], {"ncnn": "/no/such/python"})
    x = torch.randn(3, 3, 9, 9)
    subject = Subject(Small(4).eval(), ((x,), (x[:2],)), pythons={"ncnn": "/no/such/python"})
    with pytest.raises(CannotHoldError, match="cannot hold this model: /no/such/python is no Python"):
        write_formats(subject, ["ncnn"], tmp_path)
    _, refused_ones = write_formats(subject, ["ncnn"], tmp_path, optional=["ncnn"])
    assert "/no/such/python" in refused_ones["ncnn"]


def test_rows_that_are_multiples_are_told_from_others():
    weight = torch.randn(4, 3, 2, 2)
    scaled = weight * torch.tensor([2.0, -1.0, 0.0, 0.5])[:, None, None, None]
    assert engine_files._is_scaled(weight, scaled)
    scaled[0, 0] += 0.1
    assert not engine_files._is_scaled(weight, scaled)
