"""References: one text says everything, is written in one way, and is read back as what it was."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SecateurError
from core.workload.sources import reference
from core.workload.sources.reference import (
    OPTIONS,
    Reference,
    canonical,
    is_reference,
    parsed,
    runs_python,
    short_name,
    with_options,
)
from tests.core.cli.running import refused

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
HF = reference.KINDS["hf"].takes


@given(place=TEXT, options=st.dictionaries(st.sampled_from(HF), TEXT))
def test_what_is_written_is_read_back(place, options):
    found = Reference("hf", place, options)
    assert parsed(str(found)) == found
    assert str(parsed(str(found))) == str(found)


def test_it_is_readable_and_its_options_stand_in_one_order():
    text = "hf:/home/me/my model?metric=f1&data=/home/me/test data.csv"
    assert str(parsed(text)) == "hf:/home/me/my model?data=/home/me/test data.csv&metric=f1"
    assert OPTIONS[0] == "data"


def test_options_beside_it_become_part_of_it_once():
    assert with_options("hf:m", {"data": "a.csv", "length": "64"}) == "hf:m?data=a.csv&length=64"
    assert with_options("hf:m?data=a.csv", {"data": "a.csv"}) == "hf:m?data=a.csv"
    assert with_options("fashion-vit", {}) == "fashion-vit"
    with pytest.raises(SecateurError, match="given twice"):
        with_options("hf:m?data=a.csv", {"data": "b.csv"})
    with pytest.raises(SecateurError, match="--data belongs to a model named by hf:, st:, timm:, pt2:, lightning:"):
        with_options("mine.py", {"data": "a.csv"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:/home/me/bert?data=/home/me/test.csv", "hf:bert (test.csv)"),
        ("py:proj.made:workload?root=/home/me", "py:proj.made:workload"),
        ("/home/me/mine.py", "mine"),
        ("fashion-vit", "fashion-vit"),
    ],
)
def test_for_people_it_is_short(text, name):
    assert short_name(text) == name


@pytest.mark.parametrize("text", ["C:\\models\\mine.py", "mine.py", "fashion-vit", "memory:net", "gguf:x"])
def test_what_is_none_is_not_taken_for_one(text):
    assert not is_reference(text)


def test_what_runs_the_python_of_a_user_is_known():
    assert [kind for kind in reference.KINDS if runs_python(f"{kind}:x")] == ["py", "lightning"]
    assert runs_python("/home/me/mine.py")


def test_a_model_of_a_package_is_found_from_anywhere_afterwards(tmp_path, monkeypatch):
    (tmp_path / "proj").mkdir()
    monkeypatch.chdir(tmp_path)
    ref = canonical("py:proj.made:workload")
    assert ref == f"py:proj.made:workload?root={tmp_path}"
    monkeypatch.chdir("/")
    assert canonical(ref) == ref
    with pytest.raises(SecateurError, match="no package 'proj' in /"):
        canonical("py:proj.made:workload")


def test_the_weights_of_a_model_are_no_switch_of_a_sweep(tmp_path):
    said = refused("sweep", "timm:resnet18", "--weights", "w.pt", "--data", tmp_path, "--workspace", tmp_path / "ws")
    assert "--checkpoint expects a file or folder on this machine, and w.pt is none" in said


@pytest.mark.process
def test_nothing_of_an_outside_library_is_imported_before_one_is_named():
    code = (
        "import sys, core.cli, core.workload.loading, core.workload.sources.registry; "
        "print([name for name in ('torch', 'transformers', 'timm', 'pyarrow', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
