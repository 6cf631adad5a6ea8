"""`secateur reproduce`: from the command that recovers to the bits made again, and what it says where they part."""

import json

import pytest

from tests.core.cli.running import secateur

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _beside_the_file(own_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bundle(trained, tmp_path):
    """A recovered model, cut by a plan of half of each layer, as commands make it."""
    words = ("--final", "0.4", "--rounds", "2", "--steps", "5", "--out", "recovered.py")
    assert secateur("recover", trained, *words).exit_code == 0
    (tmp_path / "plan.json").write_text(secateur("plan", "recovered.py", "--uniform", "0.5").stdout)
    done = secateur("export", "recovered.py", "plan.json", "out/half")
    assert done.exit_code == 0, done.stderr
    return tmp_path / "out" / "half"


def test_a_recovered_bundle_is_made_again_without_its_rounds(bundle, trained, tmp_path):
    for path in tmp_path.rglob("round-*.safetensors"):
        path.unlink()
    done = secateur("reproduce", "out/half", "--model", trained)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == (
        "out/half is reproduced: net, recovered again in 2 rounds and cut by the plan, gives all 4 tensors "
        "(83 entries) bit for bit.\n"
    )
    assert "recovering, round 2 of 2 …" in done.stderr
    found = json.loads(secateur("reproduce", "out/half.zip", "--model", trained, "--json").stdout)
    assert (found["reproduced"], found["rounds"], found["parting"]) == (True, 2, None)
    assert (found["tensors"], found["entries"], found["bundle"]) == (4, 48 + 8 + 24 + 3, "out/half.zip")


def test_one_that_cannot_be_made_again_ends_with_2_and_says_where_it_parts(trained, tmp_path, net_text, write_file):
    (tmp_path / "plan.json").write_text(secateur("plan", trained, "--uniform", "0.5").stdout)
    assert secateur("export", trained, "plan.json", "half").exit_code == 0
    other = write_file("other.py", net_text.replace("parameter.copy_(", "parameter.copy_(1.5 * "))
    done = secateur("reproduce", "half", "--model", other)
    assert done.exit_code == 2
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("secateur: half is not reproduced from net: it parts at the dense weights; the first tensor")
    assert "first tensor that differs is fc1.weight; 4 of 4 differ, in" in last
    assert last.endswith("Otherwise than when it was made: the weights of net")
    done = secateur("reproduce", "half", "--model", other, "--json")
    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert (found["reproduced"], found["parting"]["at"], found["parting"]["tensors"]) == (False, "the dense weights", 4)


def test_what_it_cannot_do_is_said_in_one_line(bundle, trained):
    for words, message in (
        (("out/nothing",), "is not a bundle"),
        (("out/half",), "if you trust it, name it: secateur reproduce … --model"),
        (("out/half", "--model", "recovered.py"), "was recovered or made smaller before"),
        (("out/half", "--model", "lenet-99"), "unknown model"),
    ):
        done = secateur("reproduce", *words)
        assert done.exit_code == 2
        assert message in done.stderr.splitlines()[-1]
        document = json.loads(secateur("reproduce", *words, "--json").stdout)
        assert message in document["error"]


@pytest.mark.process
@pytest.mark.slow
def test_a_sample_needs_no_name_and_its_recovery_gives_the_same_bits(tmp_path, monkeypatch):
    from core import Cut, SparsityPlan

    words = ("--final", "0.5", "--rounds", "2", "--steps", "3", "--samples", "200", "--out", "recovered.py")
    done = secateur("recover", "fashion-resnet", *words)
    assert done.exit_code == 0, done.stderr
    (tmp_path / "plan.json").write_text(SparsityPlan((Cut("stem", sparsity=0.5),)).to_json())
    done = secateur("export", "recovered.py", "plan.json", "half", "--samples", "200")
    assert done.exit_code == 0, done.stderr
    for path in tmp_path.rglob("round-*.safetensors"):
        path.unlink()
    done = secateur("reproduce", "half")
    assert done.exit_code == 0, done.stderr
    assert "half is reproduced: fashion-resnet, recovered again in 2 rounds" in done.stdout


def test_a_recovered_model_is_exported_without_a_plan_beside_the_dense_one(trained, tmp_path):
    words = ("--final", "0.4", "--rounds", "2", "--steps", "5", "--out", "recovered.py")
    assert secateur("recover", trained, *words).exit_code == 0
    done = secateur("export", "recovered.py", "out/as-it-is", "--format", "int8")
    assert done.exit_code == 0, done.stderr
    names = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert [name for name in ("dense", "pruned, not trained", "recovered", "int8") if name in names] == [
        "dense", "pruned, not trained", "recovered", "int8",
    ]  # fmt: skip
    manifest = json.loads((tmp_path / "out" / "as-it-is" / "manifest.json").read_text())
    assert [row["name"] for row in manifest["variants"]] == ["dense", "pruned, not trained", "recovered", "int8"]
    assert secateur("verify", "out/as-it-is", "--model", "recovered.py").exit_code == 0
    done = secateur("reproduce", "out/as-it-is", "--model", trained)
    assert "is reproduced" in done.stdout
