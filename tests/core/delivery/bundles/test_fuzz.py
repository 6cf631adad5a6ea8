"""Any single byte of a bundle that changes is seen: no crash, no false pass."""

import hashlib
import json
import random
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core import PruningConfig, SecateurError, SparsityPlan, export, prune
from core.delivery.bundles import bundle as bundle_module
from core.delivery.bundles import verify as verify_module
from core.delivery.bundles.sealed_zip import SEAL, unpack
from core.delivery.bundles.verify import verify_bundle
from core.delivery.card.rendered import rendered
from core.delivery.manifest import sealed
from tests.resealed import reseal

MUTATIONS = 1500
FILES = (
    "card.html", "card.md", "manifest.json", "model.int8.onnx", "model.int8.safetensors", "model.onnx", "model.pt2",
    "model.safetensors", "plan.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(net_text, tmp_path_factory):
    """A bundle of the small net in five formats. Not to be changed."""
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "net.py").write_text(net_text)
    with pytest.MonkeyPatch.context() as patch:  # the formats were read by processes of their own
        patch.setattr(bundle_module, "_verify_in_fresh_process", lambda *_: None)
        export(
            prune(str(folder / "net.py"), PruningConfig()),
            folder / "half",
            formats=["pt2", "onnx", "int8", "onnx-int8"],
        )
    return folder / "half"


@pytest.fixture
def bundle(exported, tmp_path):
    """A copy, and beside it its zip and the file that it was cut from."""
    shutil.copyfile(exported.parent / "net.py", tmp_path / "net.py")
    shutil.copyfile(exported.parent / "half.zip", tmp_path / "half.zip")
    return Path(shutil.copytree(exported, tmp_path / "half"))


def mutate(path, draw):
    """Change one byte in place; returns how to change it back."""
    with path.open("r+b") as file:
        position = draw.randrange(path.stat().st_size)
        file.seek(position)
        before = file.read(1)
        file.seek(position)
        file.write(bytes([before[0] ^ draw.randrange(1, 256)]))
    return position, before


def put_back(path, position, before):
    with path.open("r+b") as file:
        file.seek(position)
        file.write(before)


def test_every_single_changed_byte_fails_in_words(bundle):
    """Over all files of the folder and its zip, in turn."""
    model, archive, draw = str(bundle.parent / "net.py"), bundle.with_name("half.zip"), random.Random(7)
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)
    places = [*((bundle / name, bundle) for name in FILES), (archive, archive)]
    for number in range(MUTATIONS):
        path, place = places[number % len(places)]
        position, before = mutate(path, draw)
        with pytest.raises(SecateurError) as error:
            verify_bundle(place, model, formats=False)
        assert "\n" not in str(error.value), (path, position)
        put_back(path, position, before)
    for place in (bundle, archive):
        assert verify_bundle(place, model, formats=False)["verified"]


@pytest.mark.parametrize("name", ["plan.json", "model.safetensors"])
def test_a_changed_byte_under_a_new_seal_gives_no_traceback_and_no_other_model(bundle, name):
    """Nothing protects from whoever makes the seal, but the weights must still be what the plan says."""
    model, draw, whole = str(bundle.parent / "net.py"), random.Random(3), (bundle / name).read_bytes()
    passed, expected = 0, plan_and_weights(bundle)
    for _ in range(150):
        mutate(bundle / name, draw)
        reseal(bundle)
        message = said_of(bundle, model)
        assert "\n" not in message
        if not message:  # a note or white space changed
            passed += 1
            assert plan_and_weights(bundle) == expected
        (bundle / name).write_bytes(whole)
    assert passed < 100


def said_of(bundle, model):
    """Why a bundle is refused; empty if it is not."""
    try:
        verify_bundle(bundle, model, formats=False)
    except SecateurError as error:
        return str(error)
    return ""


def plan_and_weights(bundle):
    weights = {name: tensor.tolist() for name, tensor in load_file(bundle / "model.safetensors").items()}
    return SparsityPlan.read(bundle / "plan.json"), weights


def values_of(node, path=()):
    """Paths of all values of a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from values_of(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from values_of(value, (*path, index))
    yield path


@pytest.mark.parametrize("other", [None, [], {}, "", "../../etc/passwd", -1, True, [["x"]]])
def test_a_manifest_of_any_other_shape_is_refused_in_words(bundle, other):
    original = json.loads((bundle / "manifest.json").read_text())
    del original["sha256"]
    reading = [p for p in values_of(original) if p and p[0] in ("format", "version", "files", "formats", "form")]
    for path in reading:
        changed = json.loads(json.dumps(original))
        at = changed
        for key in path[:-1]:
            at = at[key]
        if at[path[-1]] == other:
            continue
        at[path[-1]] = other
        (bundle / "manifest.json").write_text(sealed(changed))
        if path[0] == "formats" and path[-1] in ("checked", "difference", "opset"):
            continue  # how it was checked then is a record; it is checked anew
        with pytest.raises(SecateurError) as error:
            verify_bundle(bundle, str(bundle.parent / "net.py"), formats=False)
        assert "\n" not in str(error.value), path


def test_a_file_that_was_not_exported_is_not_read_with_a_folder(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["sha256"]
    (bundle / "huggingface").mkdir()
    (bundle / "huggingface" / "config.json").write_text("{}")
    manifest["formats"]["huggingface"] = {"files": ["huggingface/config.json"], "checked": "", "difference": 0.0}
    manifest["files"]["huggingface/config.json"] = {"format": "huggingface"}
    (bundle / "manifest.json").write_text(sealed(manifest))
    reseal(bundle)
    (bundle / "huggingface" / "more.bin").write_bytes(b"x")
    with pytest.raises(SecateurError, match=r"huggingface/more\.bin in .* was not exported; remove it"):
        verify_bundle(bundle, str(bundle.parent / "net.py"))


def seal(path):
    """End a zip as ours do."""
    import hashlib

    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"0" * SEAL
    data = path.read_bytes()
    path.write_bytes(data[:-SEAL] + hashlib.sha256(data[:-SEAL]).hexdigest().encode())


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "half/../../out.txt", "half\\..\\out.txt", "alone.txt"])
def test_a_zip_that_reaches_out_of_its_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "half.zip", "w") as archive:
        archive.writestr("half/plan.json", "{}")
        archive.writestr(name, "x")
    seal(tmp_path / "half.zip")
    (tmp_path / "into").mkdir()
    with pytest.raises(SecateurError, match="which is no file of a bundle; it is refused"):
        unpack(tmp_path / "half.zip", tmp_path / "into")
    assert not any((tmp_path / "into").iterdir())


def test_an_unsealed_zip_says_what_to_do(bundle):
    archive = bundle.with_name("older.zip")
    with zipfile.ZipFile(archive, "w") as out:
        out.write(bundle / "plan.json", "half/plan.json")
    with pytest.raises(SecateurError, match=r"has none, as those of older versions.*unzip it and name the folder"):
        verify_bundle(archive)
    with pytest.raises(SecateurError, match="cannot read"):
        verify_bundle(bundle.with_name("nowhere.zip"))


@pytest.mark.process
def test_a_bundle_of_version_1_still_verifies(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    for key in ("sha256", "formats", "refused"):
        del manifest[key]
    manifest["version"] = 1
    manifest["files"] = {
        name: {key: manifest["files"][name][key] for key in ("bytes", "sha256")}
        for name in ("model.safetensors", "plan.json")
    }
    (bundle / "manifest.json").write_text(sealed(manifest))
    checked = verify_bundle(bundle, str(bundle.parent / "net.py"))
    assert checked["formats"] == {"safetensors": 0.0}
    save_file({"x": torch.ones(1)}, bundle / "model.safetensors")
    with pytest.raises(SecateurError, match="its hash differs"):
        verify_bundle(bundle, str(bundle.parent / "net.py"))


def sealed_again(bundle, change=lambda manifest: None):
    """Change a manifest, have its card say the same, and seal both: whoever made the bundle can."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["sha256"]
    change(manifest)
    for name, text in rendered(manifest, SparsityPlan.read(bundle / "plan.json")).items():
        (bundle / name).write_text(text, encoding="utf-8")
        content = (bundle / name).read_bytes()
        manifest["files"][name].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    (bundle / "manifest.json").write_text(sealed(manifest))


def put(*path, **values):
    """A change of what stands in a manifest at a place."""

    def change(manifest):
        place = manifest
        for key in path:
            place = place[key]
        place.update(values)

    return change


@pytest.mark.process
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (put("variants", 0, "metric", value=0.5), "metric of dense is"),
        (put("variants", 0, bytes=10**9), "bytes of dense"),
        (put("variants", 0, flops=1e15), "flops of dense"),
        (put("variants", 1, parameters=1), "parameters of masked"),
        (put("variants", 1, drop=None), "drop of masked is"),
        (put("variants", -2, metric={"value": 0.123, "low": -1e9, "high": 1e9, "n": 40}), "metric of int8 is"),
        (put("variants", -1, "metric", low=2.0, high=3.0), "metric of onnx-int8 is"),
        (put("variants", -1, "metric", n=10_000), "metric of onnx-int8 is"),
        (put("variants", -1, metric=None), "metric of onnx-int8 is .* not nothing"),
        (lambda manifest: manifest["variants"].pop(), "does not say what onnx-int8 measured"),
        (lambda manifest: manifest["variants"].append({**manifest["variants"][0], "name": "better"}), "what better"),
        (put("measured", "drop", value=-0.4), "drop is"),
        (put("measured", "pruned", n=10_000), "pruned is"),
        (put("measured", "dense", low=0.9), "dense is"),
    ],
)
def test_what_a_new_seal_claims_is_measured_and_counted_again(bundle, change, word, monkeypatch):
    monkeypatch.setattr(verify_module, "check_formats", lambda *_: {})  # every format is as it was: read once, below
    sealed_again(bundle, change)
    with pytest.raises(SecateurError, match=word) as error:
        verify_bundle(bundle, str(bundle.parent / "net.py"))
    assert "\n" not in str(error.value)


@pytest.mark.process
def test_a_new_seal_of_what_was_measured_is_accepted(bundle):
    sealed_again(bundle)
    assert verify_bundle(bundle, str(bundle.parent / "net.py"))["verified"]


@pytest.mark.parametrize("name", ["card.md", "card.html"])
def test_a_card_that_says_something_else_than_the_manifest_is_refused(bundle, name):
    (bundle / name).write_text("lossless!")
    reseal(bundle)
    with pytest.raises(SecateurError, match=f"{name} in .* does not say what the manifest says"):
        verify_bundle(bundle, str(bundle.parent / "net.py"), formats=False)


@pytest.mark.parametrize(
    "change",
    [
        put(measured={}),
        put("measured", "pruned", value="x"),
        lambda manifest: manifest["files"]["plan.json"].pop("sha256"),
        put(workload=[]),
        put(form="shrunk", shrunk={}),
        put(examples=True),
        put(variants=[1]),
    ],
)
def test_a_sealed_manifest_of_other_types_is_refused_in_words(bundle, change):
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["sha256"]
    change(manifest)
    (bundle / "manifest.json").write_text(sealed(manifest))
    with pytest.raises(SecateurError, match="changed after it was written"):
        verify_bundle(bundle, str(bundle.parent / "net.py"))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_sealed_zip_with_a_broken_stream_is_refused_in_words(bundle, tmp_path, method):
    archive = tmp_path / "broken.zip"
    with zipfile.ZipFile(archive, "w", method) as out:
        out.comment = b"0" * SEAL
        out.writestr("half/plan.json", bytes(range(256)) * 40)
    content = bytearray(archive.read_bytes())
    content[60:80] = b"\xff" * 20
    seal = hashlib.sha256(content[:-SEAL]).hexdigest().encode()
    archive.write_bytes(bytes(content[:-SEAL]) + seal)
    with pytest.raises(SecateurError, match="is damaged"):
        unpack(archive, tmp_path)
