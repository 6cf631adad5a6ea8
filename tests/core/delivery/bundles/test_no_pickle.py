"""No pickle is ever written: every byte of a bundle is looked through, also inside archives."""

import io
import pickle
import pickletools
import zipfile
from pathlib import Path

import pytest
import torch

from core import PruningConfig, export, prune
from core.delivery.bundles import bundle as bundle_module
from core.delivery.formats.facts import FORMATS

CALLS = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"}


def pickles_in(data, name="", depth=0):
    """Where pickles start in bytes, also in the entries of zips inside zips."""
    found = []
    if zipfile.is_zipfile(io.BytesIO(data)) and depth < 5:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                found += pickles_in(archive.read(info), f"{name}/{info.filename}", depth + 1)
    at = data.find(b"\x80")
    if data[:1] != b"\x80" and is_pickle(data):  # protocols 0 and 1 have no first byte of their own
        found.append((name, 0))
    while at >= 0:
        if data[at + 1 : at + 2] in (b"\x02", b"\x03", b"\x04", b"\x05") and is_pickle(data[at:]):
            found.append((name, at))
        at = data.find(b"\x80", at + 1)
    return found


def is_pickle(data):
    """Whether instructions for the unpickler follow, to their end, that do more than make a plain number."""
    seen = set()
    try:
        for opcode, _, _ in pickletools.genops(data):
            seen.add(opcode.name)
    except Exception:  # random bytes end in any way
        return False
    return "STOP" in seen and (bool(seen & CALLS) or len(seen) > 6)


class Something:
    """Of a class."""


@pytest.mark.parametrize("protocol", range(6))
def test_the_look_through_sees_pickles(protocol, tmp_path):
    one = pickle.dumps(Something(), protocol)
    assert pickles_in(one)
    if protocol > 1:
        assert pickles_in(b"weights" * 100 + one + b"more")
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.bin", one)
    assert pickles_in((tmp_path / "x.zip").read_bytes())
    torch.save({"w": torch.ones(3)}, tmp_path / "x.pt", pickle_protocol=max(2, protocol))
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.write(tmp_path / "x.pt")
    assert pickles_in((tmp_path / "y.zip").read_bytes())


def test_random_bytes_are_no_pickle():
    noise = torch.randint(256, (300_000,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert not pickles_in(noise.numpy().tobytes())


FILE = """
import torch
from torch import nn
from core import Examples, Workload, accuracy
from transformers import BertConfig, BertModel


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.bert = BertModel(BertConfig(vocab_size=40, hidden_size=48, intermediate_size=96, num_hidden_layers=2,
                                         num_attention_heads=4, max_position_embeddings=16))

    def forward(self, ids):
        return self.bert(input_ids=ids).last_hidden_state.mean(1)


def workload():
    ids = torch.randint(40, (20, 8), generator=torch.Generator().manual_seed(0))
    return Workload("bert", Encoder().eval(), Examples(ids, ids[:, 0]), accuracy(), batch_size=10)
"""


@pytest.mark.process
@pytest.mark.slow
def test_no_file_of_a_bundle_in_every_format_holds_a_pickle(write_file, tmp_path):
    model = write_file("bert.py", FILE)
    ours = [name for name, facts in FORMATS.items() if facts.needs is None]  # files of engines are what those make
    manifest = export(prune(str(model), PruningConfig(0.8)), tmp_path / "out", formats=ours)
    assert set(manifest["formats"]) == set(ours)
    paths = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path / "out").as_posix() for path in paths} == {"manifest.json", *manifest["files"]}
    for path in [*paths, tmp_path / "out.zip"]:
        assert not pickles_in(path.read_bytes(), path.name)
        assert path.suffix not in (".pkl", ".pickle", ".pt", ".pth", ".bin")


@pytest.mark.process
def test_no_file_of_a_small_bundle_holds_a_pickle(net_file, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", lambda *_: None)
    export(prune(str(net_file), PruningConfig()), tmp_path / "out", formats=["pt2", "onnx"])
    for path in [*(tmp_path / "out").iterdir(), tmp_path / "out.zip"]:
        assert not pickles_in(path.read_bytes(), path.name)


SHIPPED = Path(__file__).parents[4] / "sample_models" / "weights"


def test_no_weights_that_are_shipped_hold_a_pickle():
    files = list(SHIPPED.iterdir())
    assert files
    for path in files:
        assert path.suffix == ".safetensors"
        assert not pickles_in(path.read_bytes(), path.name)
