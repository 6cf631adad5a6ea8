"""A bundle is told of when it was reloaded and compared, and any change to it is seen."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core import Cut, PruningConfig, SecateurError, SparsityPlan, export, load_workload, prune
from core.delivery.bundles import bundle as bundle_module
from core.delivery.bundles import verify as verify_module
from core.delivery.bundles.placing import archive_of, placed
from core.delivery.bundles.verify import verify_bundle
from core.delivery.card.rendered import rendered
from core.delivery.formats import safetensors_file
from core.delivery.manifest import ENTRIES, sealed
from core.engines.state import unique_state
from core.jobs import launch
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.workspace import Workspace
from tests.resealed import reseal

FILES = ("manifest.json", "model.safetensors", "plan.json", "card.md", "card.html")


@pytest.fixture(scope="module")
def exported(net_text, tmp_path_factory):
    """A bundle of the small net, half of each layer removed. Not to be changed: `bundle` is a copy."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "net.py").write_text(net_text)
    result = prune(str(folder / "net.py"), PruningConfig(target_sparsity=0.5))
    export(result, folder / "half")
    return folder / "half"


@pytest.fixture
def bundle(exported, tmp_path):
    """A copy of `exported`, and beside it the file that it was cut from."""
    shutil.copyfile(exported.parent / "net.py", tmp_path / "net.py")
    return Path(shutil.copytree(exported, tmp_path / "half"))


def verified(folder):
    """What `verify_bundle` says with the file beside the bundle, which the user is taken to have named."""
    return verify_bundle(folder, str(folder.parent / "net.py"))


def test_a_bundle_is_five_files_and_a_zip_of_them(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted(FILES)
    with zipfile.ZipFile(exported.with_name("half.zip")) as packed:
        assert sorted(packed.namelist()) == sorted(f"half/{name}" for name in FILES)
        assert all(packed.read(f"half/{name}") == (exported / name).read_bytes() for name in FILES)
    assert sorted(path.name for path in exported.parent.iterdir() if path.name != "__pycache__") == [
        "half", "half.zip", "net.py"
    ]  # fmt: skip


def test_its_weights_are_the_dense_ones_under_the_masks(exported):
    weights = load_file(exported / "model.safetensors")
    dense = load_workload(str(exported.parent / "net.py")).model.state_dict()
    assert weights.keys() == dense.keys()
    for name in ("fc1.bias", "fc2.bias"):
        assert torch.equal(weights[name], dense[name])
    for name, n in (("fc1.weight", 48), ("fc2.weight", 24)):
        kept = weights[name] != 0
        assert int(kept.sum()) == n // 2
        assert torch.equal(weights[name][kept], dense[name][kept])
        assert dense[name][kept].abs().min() >= dense[name][~kept].abs().max()


def test_its_manifest_says_what_was_measured_and_hashes_what_was_written(exported):
    manifest = json.loads((exported / "manifest.json").read_text())
    measured = manifest["measured"]
    assert manifest["workload"] == str(exported.parent / "net.py")
    assert (measured["n_removed"], measured["n_weights"], manifest["examples"]) == (36, 72, 40)
    assert [(s["name"], s["pruned_params"], s["sparsity"]) for s in measured["layers"]] == [
        ("fc1", 24, 0.5),
        ("fc2", 12, 0.5),
    ]
    for key in ("dense", "pruned", "drop"):
        assert measured[key]["low"] <= measured[key]["value"] <= measured[key]["high"]
        assert measured[key]["n"] == 40
    assert measured["drop"]["value"] == pytest.approx(measured["dense"]["value"] - measured["pruned"]["value"])
    for name in FILES[1:]:
        content = (exported / name).read_bytes()
        assert manifest["files"][name] == {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "format": {"model.safetensors": "safetensors", "plan.json": "plan"}.get(name, "card"),
        }
    assert manifest["formats"] == {
        "safetensors": {
            "files": ["model.safetensors"],
            "checked": "every tensor bit for bit, in a process that has no torch",
            "difference": 0.0,
        }
    }
    assert manifest["refused"] == {}
    assert set(manifest["made_with"]) >= {"secateur", "torch", "python"}


def test_its_plan_is_a_plan_file(exported):
    assert SparsityPlan.read(exported / "plan.json").cuts == (
        Cut("fc1", "weight", 0.5, "magnitude"),
        Cut("fc2", "weight", 0.5, "magnitude"),
    )


@pytest.mark.process
def test_it_verifies_where_it_lies_and_where_it_is_moved(exported, bundle):
    pruned = json.loads((exported / "manifest.json").read_text())["measured"]["pruned"]["value"]
    for folder in (exported, bundle):
        checked = verified(folder)
        assert (checked["metric"], checked["n"], checked["tensors"]) == (pruned, 40, 4)


@pytest.mark.process
def test_it_verifies_with_the_model_at_another_place(bundle, net_text, write_file):
    assert verify_bundle(bundle, str(write_file("elsewhere/my_net.py", net_text)))["verified"]


def refused(folder, *words):
    with pytest.raises(SecateurError) as error:
        verified(folder)
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


@pytest.mark.process
@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_seen_wherever_it_is(bundle, name):
    path = bundle / name
    content = path.read_bytes()
    for position in sorted({0, 1, 9, len(content) // 3, len(content) // 2, len(content) - 2, len(content) - 1}):
        for flip in (0x01, 0x20, 0x80):
            path.write_bytes(content[:position] + bytes([content[position] ^ flip]) + content[position + 1 :])
            refused(bundle)
    path.write_bytes(content)
    assert verified(bundle)["verified"]


def test_every_character_of_the_manifest_counts(bundle):
    path = bundle / "manifest.json"
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x01]) + content[position + 1 :])
        refused(bundle)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 1, 100, -1])
def test_a_truncated_file_is_seen(bundle, name, keep):
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[:keep])
    refused(bundle, "export")


@pytest.mark.parametrize(
    ("name", "word"), [(FILES[0], "is not a bundle"), *((name, "is missing") for name in FILES[1:])]
)
def test_a_missing_file_is_seen(bundle, name, word):
    (bundle / name).unlink()
    refused(bundle, name, word, "export")


def test_what_is_no_bundle_says_so(tmp_path, bundle):
    refused(tmp_path / "nothing", "is not a bundle", "name the folder that `secateur export` wrote")
    refused(tmp_path, "is not a bundle")
    refused(bundle / "plan.json", "is not a bundle")
    (bundle / "manifest.json").write_text((bundle / "plan.json").read_text())
    refused(bundle, "not a Secateur manifest")


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    reseal(folder)


@pytest.mark.process
def test_sealing_again_what_did_not_change_is_accepted(bundle):
    reseal(bundle)
    assert verified(bundle)["verified"]


def test_a_bundle_of_a_newer_version_asks_for_an_upgrade(bundle):
    reseal(bundle, version=3)
    refused(bundle, "version 3", "upgrade secateur")


def test_a_plan_with_an_unknown_target_is_refused(bundle):
    plan = SparsityPlan((Cut("fc3", "weight", 0.5),))
    (bundle / "plan.json").write_text(plan.to_json())
    reseal(bundle)
    refused(bundle, "no weight target 'fc3'", "did you mean")


def test_weights_of_wrong_shape_are_refused(bundle):
    change_weights(bundle, lambda weights: weights.update({"fc1.weight": torch.zeros(7, 6)}))
    refused(bundle, "fc1.weight", "(7, 6)", "needs (8, 6)")


def test_weights_of_a_wrong_type_are_refused(bundle):
    change_weights(bundle, lambda weights: weights.update({"fc1.weight": weights["fc1.weight"].double()}))
    refused(bundle, "fc1.weight", "torch.float64")


def test_tensors_too_many_or_too_few_are_refused(bundle):
    change_weights(bundle, lambda weights: weights.update(extra=torch.zeros(1)))
    refused(bundle, "other tensors", "extra")
    change_weights(bundle, lambda weights: [weights.pop("extra"), weights.pop("fc2.bias")])
    refused(bundle, "other tensors", "fc2.bias")


def test_a_weight_that_the_plan_does_not_give_is_refused(bundle):
    def change(weights):
        weights["fc2.weight"][0, 0] += 1e-6 + weights["fc2.weight"][0, 0].abs() * 1e-6

    change_weights(bundle, change)
    refused(bundle, "fc2.weight", "is not what the plan makes of the dense weights")


def test_a_zero_of_the_other_sign_is_another_bit(bundle):
    def change(weights):
        weight = weights["fc2.weight"]
        weight[weight == 0] = -0.0

    change_weights(bundle, change)
    refused(bundle, "fc2.weight", "is not what the plan makes")


def test_a_metric_that_is_not_what_the_manifest_says_is_refused(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["measured"]["pruned"]["value"] += 0.025
    reseal(bundle, measured=manifest["measured"])
    refused(bundle, "the manifest says", "export the bundle again")


@pytest.mark.parametrize("missing", sorted(ENTRIES))
def test_a_manifest_without_an_entry_is_refused_in_words(bundle, missing):
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest[missing], manifest["sha256"]
    (bundle / "manifest.json").write_text(sealed(manifest))
    refused(bundle, "export")


def test_a_model_that_has_changed_since_is_refused(bundle, net_text, write_file):
    file = write_file("changed.py", net_text.replace("manual_seed(0)", "manual_seed(1)"))
    with pytest.raises(SecateurError, match="is not the model that this bundle was cut from"):
        verify_bundle(bundle, str(file))


@pytest.mark.process
@pytest.mark.cold
def test_the_check_in_a_process_of_its_own_ends_with_2_and_one_line(bundle):
    (bundle / "plan.json").unlink()
    command = [sys.executable, "-P", "-m", "core.delivery.bundles.verify", bundle, bundle.parent / "net.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def everything_under(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.process
def test_a_bundle_that_reloads_differently_is_not_written(net_file, tmp_path, monkeypatch):
    """The weights are tampered with on their way to the disk: the fresh process must see it."""
    write = safetensors_file.write_state

    def tampered(state, path):
        state["fc1.weight"][state["fc1.weight"] != 0] *= 1.001
        write(state, path)

    result = prune(str(net_file), PruningConfig())
    before = everything_under(tmp_path)
    monkeypatch.setattr(safetensors_file, "write_state", tampered)
    with pytest.raises(SecateurError, match=r"was not written, since the reloaded one differs: fc1.weight"):
        export(result, tmp_path / "out")
    assert everything_under(tmp_path) == before


@pytest.mark.process
def test_a_disk_that_fills_while_writing_leaves_nothing(net_file, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    result = prune(str(net_file), PruningConfig())
    before = everything_under(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(safetensors_file, "save_file", full)
        with pytest.raises(SecateurError, match="No space left on device"):
            export(result, tmp_path / "out")
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", lambda folder, ref, check: None)
    for step in ("bundle.write_zip", "placing.os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"core.delivery.bundles.{step}", full)
            with pytest.raises(SecateurError, match="No space left on device; free some space"):
                export(result, tmp_path / "deep" / "er" / "out")
        assert everything_under(tmp_path) == before, step


@pytest.mark.process
@pytest.mark.parametrize("theirs", ["out/theirs.txt", "out.zip"])
def test_what_somebody_else_puts_there_while_we_verify_is_not_touched(net_file, tmp_path, monkeypatch, theirs):
    def meanwhile(folder, ref, check):
        (tmp_path / theirs).parent.mkdir(exist_ok=True)
        (tmp_path / theirs).write_text("mine")

    result = prune(str(net_file), PruningConfig())
    before = everything_under(tmp_path)
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", meanwhile)
    with pytest.raises(SecateurError, match="cannot write the bundle"):
        export(result, tmp_path / "out")
    assert (tmp_path / theirs).read_text() == "mine"
    assert set(everything_under(tmp_path)) - set(before) <= {"out", theirs}


def test_what_is_there_already_is_not_overwritten(net_file, tmp_path):
    result = prune(str(net_file), PruningConfig())
    (tmp_path / "out.zip").write_text("mine")
    with pytest.raises(SecateurError, match=r"out.zip exists already; choose another place, or remove it first"):
        export(result, tmp_path / "out")
    assert (tmp_path / "out.zip").read_text() == "mine"
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_refused(net_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SecateurError, match=r"cannot write to .*; choose another place"):
        export(prune(str(net_file), PruningConfig()), tmp_path / "file" / "out")


def test_a_cancelled_export_leaves_nothing(net_file, tmp_path, monkeypatch):
    runs = RunStore(Workspace(tmp_path / "ws"))
    out = tmp_path / "place" / "out"
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    run, _ = runs.submit("export", *launch.plan_submission(str(net_file), plan, out=out))
    passes = []

    def stopping(run_id):
        passes.append(1)
        return len(passes) > 8

    monkeypatch.setattr("core.jobs.works.measuring.CHECK_SECONDS", -1.0)
    monkeypatch.setattr(runs, "stopping", stopping)
    assert execute(runs, run.id).state == "cancelled"
    assert not out.parent.exists()


def verify_here(folder, workload_ref, check):
    """In the place of a fresh process, which takes seconds."""
    verify_bundle(folder, workload_ref)


@pytest.mark.process
@pytest.mark.cold
def test_an_empty_plan_exports_the_dense_weights(net_file, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", verify_here)
    manifest = export(prune(str(net_file), SparsityPlan()), tmp_path / "out")
    dense = load_workload(str(net_file)).model.state_dict()
    assert all(torch.equal(dense[name], tensor) for name, tensor in load_file(tmp_path / "out" / FILES[1]).items())
    assert manifest["measured"]["pruned"] == manifest["measured"]["dense"]


TIED = """
    import torch
    from torch import nn
    from core import Examples, Workload, perplexity

    class LM(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.tokens.weight

        def forward(self, codes):
            return self.head(self.tokens(codes))

    def workload():
        torch.manual_seed(0)
        codes = torch.randint(7, (10, 5))
        return Workload("lm", LM(), Examples(codes, codes.roll(-1, 1)), perplexity())
"""


@pytest.mark.process
def test_tied_weights_are_stored_once_and_reload_tied(write_file, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", verify_here)
    export(prune(str(write_file("lm.py", TIED)), PruningConfig(0.5)), tmp_path / "out")
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert list(weights) == ["tokens.weight"]
    assert int((weights["tokens.weight"] == 0).sum()) == 14


@pytest.mark.process
def test_a_file_that_a_manifest_names_is_not_run(bundle, tmp_path, write_file):
    """Whoever made the bundle wrote the manifest too, and seals it as correctly as we do."""
    trap = write_file("half/trap.py", "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\n")
    for named in (str(trap), "trap.py", str(bundle.parent / "net.py")):
        reseal(bundle, workload=named)
        with pytest.raises(
            SecateurError, match=r"would be run as Python; if you trust it, name it: .* --model"
        ) as error:
            verify_bundle(bundle)
        assert named in str(error.value)
        assert "\n" not in str(error.value)
    assert verified(bundle)["verified"]  # by the file that the user names
    assert not (bundle / "sprung").exists()


@pytest.mark.process
def test_a_bundle_of_an_installed_sample_needs_no_name(bundle, monkeypatch):
    reseal(bundle, workload="net-sample")
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name, text in rendered(manifest, SparsityPlan.read(bundle / "plan.json")).items():
        (bundle / name).write_text(text, encoding="utf-8")
    reseal(bundle)
    monkeypatch.setattr("core.delivery.bundles.checks.sample_names", lambda: ("net-sample",))
    load = verify_module.load_workload
    asked = []
    monkeypatch.setattr(
        verify_module, "load_workload", lambda ref: asked.append(ref) or load(str(bundle.parent / "net.py"))
    )
    assert verify_bundle(bundle)["verified"]
    assert asked == ["net-sample"]


def test_what_is_not_the_model_any_more_says_whether_weights_or_code_differ(bundle, net_text, write_file):
    weights = write_file("weights.py", net_text.replace("manual_seed(0)", "manual_seed(1)"))
    code = write_file("code.py", net_text.replace("torch.relu(", "torch.tanh("))
    with pytest.raises(SecateurError, match="its weights differ; check out the code of that time, or export again"):
        verify_bundle(bundle, str(weights))
    with pytest.raises(SecateurError, match="its code or settings differ"):
        verify_bundle(bundle, str(code))


@pytest.mark.process
@pytest.mark.slow
def test_a_cancel_while_the_bundle_is_reloaded_stops_the_other_process_and_leaves_nothing(
    net_file, tmp_path, monkeypatch
):
    """The file takes a minute to load in the fresh process; the cancel must not wait for that."""
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    runs = RunStore(Workspace(tmp_path / "ws"))
    out = tmp_path / "place" / "out"
    run, _ = runs.submit("export", *launch.plan_submission(str(net_file), plan, out=out))
    started = []
    popen = subprocess.Popen

    def slowed(command, **options):
        if "core.delivery.bundles.verify" not in command:  # a format's own process
            return popen(command, **options)
        assert command[-3] == str(next(out.parent.glob(".out-*")))
        started.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return started[0]

    monkeypatch.setattr(bundle_module.subprocess, "Popen", slowed)
    monkeypatch.setattr(runs, "stopping", lambda run_id: bool(started))
    begun = time.monotonic()
    assert execute(runs, run.id).state == "cancelled"
    assert time.monotonic() - begun < 30
    assert started[0].poll() is not None
    assert not out.parent.exists()


@pytest.mark.process
@pytest.mark.parametrize("fails", ["core.delivery.bundles.verify", "-I"])
def test_a_fresh_process_that_says_nothing_is_a_refusal_too(net_file, tmp_path, monkeypatch, fails):
    """Be it the one that verifies the whole bundle, or the isolated one that reads a format."""
    popen = subprocess.Popen

    def silent(command, **options):
        said = [sys.executable, "-c", "raise SystemExit(3)"] if fails in command else command
        return popen(said, **options)

    monkeypatch.setattr(bundle_module.subprocess, "Popen", silent)
    with pytest.raises(SecateurError, match=r"the reloaded one differs: .*it ended without a word"):
        export(prune(str(net_file), PruningConfig()), tmp_path / "out")
    assert everything_under(tmp_path) == ["net.py"]


@pytest.mark.process
def test_a_copied_workspace_finds_its_bundles_and_one_elsewhere_stays_where_it_is(net_file, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", lambda folder, ref, check: None)
    runs = RunStore(Workspace(tmp_path / "ws"))
    plan = SparsityPlan((Cut("fc1", "weight", 0.5),))
    inside, _ = runs.submit("export", *launch.plan_submission(str(net_file), plan))
    outside, _ = runs.submit("export", *launch.plan_submission(str(net_file), plan, out=tmp_path / "out"))
    assert runs.bundle_folder(inside) is None
    for run in (inside, outside):
        assert execute(runs, run.id).state == "finished"
    shutil.move(tmp_path / "ws", tmp_path / "moved")
    moved = RunStore(Workspace(tmp_path / "moved"))
    found = moved.bundle_folder(moved.get(inside.id))
    assert found.parent == tmp_path / "moved" / "bundles"
    assert sorted(path.name for path in found.iterdir()) == sorted(FILES)
    assert found.with_name(found.name + ".zip").is_file()
    assert moved.bundle_folder(moved.get(outside.id)) == tmp_path / "out"


class Extra(nn.Module):
    """Has state that is no tensor, and a buffer that is a view of a weight."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.register_buffer("column", self.fc.weight.detach()[:, 0])

    def get_extra_state(self):
        return {"steps": 3}

    def set_extra_state(self, state):
        pass


def test_the_state_that_is_stored_is_a_copy_and_of_tensors_only():
    model = Extra()
    state = unique_state(model)
    assert sorted(state) == ["column", "fc.bias", "fc.weight"]
    before = state["fc.weight"].clone()
    with torch.no_grad():
        model.fc.weight.zero_()
    assert torch.equal(state["fc.weight"], before)
    assert torch.equal(state["column"], before[:, 0])
    assert all(tensor.is_contiguous() for tensor in state.values())


@pytest.mark.process
def test_a_zip_that_cannot_be_moved_takes_the_folder_with_it(net_file, tmp_path, monkeypatch):
    """The folder comes first: a zip without its folder would say that there is a bundle."""
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", lambda folder, ref, check: None)
    moved = []
    replace = os.replace

    def second_fails(source, goal):
        moved.append(Path(goal).name)
        if len(moved) == 2:
            raise OSError(28, "No space left on device")
        replace(source, goal)

    monkeypatch.setattr("core.delivery.bundles.placing.os.replace", second_fails)
    with pytest.raises(SecateurError, match="No space left on device"):
        export(prune(str(net_file), PruningConfig()), tmp_path / "out")
    assert moved == ["out", "out.zip"]
    assert everything_under(tmp_path) == ["net.py"]


@pytest.mark.parametrize("which", [1, 2, 3, 4])
def test_what_gives_way_is_put_back_whichever_move_fails(tmp_path, monkeypatch, which):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "weights").write_text("old")
    archive_of(tmp_path / "out").write_text("old zip")
    replace, moves = os.replace, []

    def fails(source, goal):
        moves.append(goal)
        if len(moves) == which:
            raise OSError(28, "No space left on device")
        replace(source, goal)

    monkeypatch.setattr("core.delivery.bundles.placing.os.replace", fails)

    def put():
        with placed(tmp_path / "out", replaces=True) as draft:
            (draft / "weights").write_text("new")
            archive_of(draft).write_text("new zip")

    with pytest.raises(SecateurError, match="No space left on device"):
        put()
    assert everything_under(tmp_path) == ["out", "out.zip", "out/weights"]
    assert (tmp_path / "out" / "weights").read_text() + archive_of(tmp_path / "out").read_text() == "oldold zip"
    put()
    assert everything_under(tmp_path) == ["out", "out.zip", "out/weights"]
    assert (tmp_path / "out" / "weights").read_text() + archive_of(tmp_path / "out").read_text() == "newnew zip"
