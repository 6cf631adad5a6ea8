"""The command line, in this process: what it prints, and how it refuses."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core import SparsityPlan, SweepRequest
from core.cli import COMMANDS, following
from core.jobs import launch
from core.jobs.runs import RunStore
from core.workspace import VERSION, Workspace, folder
from tests.core.cli.running import document_of, refused, secateur
from tests.evidence_rows import reseal

pytestmark = pytest.mark.usefixtures("own_folder")

SAMPLES = ("fashion-resnet", "fashion-vit", "tiny-gpt")


@pytest.fixture
def plan_file(net_file, tmp_path):
    path = tmp_path / "plan.json"
    assert secateur("plan", net_file, "--uniform", "0.5", "--out", path).exit_code == 0
    return path


def test_help_lists_every_command():
    done = secateur("--help")
    assert done.exit_code == 0
    assert all(f"  {name}" in done.stdout for name in COMMANDS)
    assert secateur("-h").stdout == done.stdout


def test_models_are_the_samples_and_the_files_that_were_seen(net_file):
    assert [m["model"] for m in document_of("models")] == list(SAMPLES)
    document_of("targets", net_file)
    found = {m["model"]: m["description"] for m in document_of("models")}
    assert set(found) == {*SAMPLES, str(net_file)}
    assert found[str(net_file)]["n_parameters"] == 83
    assert "Not read in this workspace yet: fashion-resnet" in secateur("models").stdout


def test_targets_are_listed_with_what_cannot_be_cut(net_file):
    document = document_of("targets", net_file)
    assert [(t["name"], t["shape"], t["n_weights"]) for t in document["targets"]] == [
        ("fc1", [8, 6], 48),
        ("fc2", [3, 8], 24),
        ("fc1", [8, 6], 8 * (6 + 1 + 3)),  # its neurons: 6 weights and a bias make each, 3 read it
    ]
    assert [u["name"] for u in document["uncuttable"]] == ["fc1.bias", "fc2.bias", "channels of fc2"]
    text = secateur("targets", net_file).stdout
    assert "8 × 6" in text
    assert "nothing to gain" in text


def test_a_plan_is_printed_as_a_plan_file(net_file):
    done = secateur("plan", net_file, "--uniform", "0.25")
    plan = SparsityPlan.from_json(done.stdout)
    assert [(cut.target, cut.sparsity) for cut in plan.cuts] == [("fc1", 0.25), ("fc2", 0.25)]
    assert plan.workload == str(net_file)
    assert secateur("plan", net_file, "--uniform", "0.25", "--json").stdout == done.stdout


def test_a_sweep_prints_its_map_and_keeps_it(net_file):
    document = document_of("sweep", net_file, "--sparsities", "0.5,0.9", "--layers", "fc1")
    assert document["run"]["state"] == "finished"
    cells = document["report"]["cells"]
    assert [(c["cut"]["target"], c["cut"]["sparsity"], c["n_removed"]) for c in cells] == [
        ("fc1", 0.5, 24),
        ("fc1", 0.9, 43),
    ]
    assert document["report"]["dense"]["n"] == 40
    run = document["run"]["id"]
    assert document_of("show", run[:5]) == document
    assert [r["id"] for r in document_of("runs")] == [run]
    table = secateur("show", run).stdout
    assert "50 %" in table
    assert "fc1" in table
    assert run in secateur("runs").stdout
    assert "dense accuracy" in secateur("sweep", net_file, "--sparsities", "0.5", "--samples", "20").stdout


@pytest.mark.model
def test_a_sweep_says_how_well_its_estimates_ranked_what_it_measured(write_file, net_text):
    given = "Examples(x, labels), accuracy(), "
    text = net_text.replace(given, given + "Examples(x + 0.01, labels), ")
    assert text != net_text
    file = write_file("net.py", text)
    document = document_of("sweep", file)
    line = "Estimates ranked the measured cells with Spearman ρ = "
    assert line in secateur("show", document["run"]["id"]).stdout
    assert document["report"]["preview"] == {"n": 40, "reason": None}
    assert all(cell["estimate"] is not None for cell in document["report"]["cells"])
    document = document_of("sweep", file, "--no-preview")
    assert document["report"]["preview"] == {"n": 0, "reason": None}
    assert line not in secateur("show", document["run"]["id"]).stdout


def test_samples_are_those_asked_for(net_file):
    assert document_of("sweep", net_file, "--samples", "20", "--sparsities", "0.5")["report"]["dense"]["n"] == 20
    assert document_of("sweep", net_file, "--samples", "all", "--sparsities", "0.5")["report"]["dense"]["n"] == 40


def test_a_plan_is_applied_and_measured(net_file, plan_file):
    document = document_of("apply", net_file, plan_file)
    result = document["run"]["result"]
    assert (result["n_removed"], result["n_weights"], result["dense"]["n"]) == (36, 72, 40)
    text = secateur("apply", net_file, plan_file).stdout
    assert "removes  36 of 72 cuttable weights (50 %)" in text
    assert "paired, 95 % interval" in text


@pytest.mark.process
def test_a_bundle_is_exported_and_verified(net_file, plan_file, tmp_path):
    document = document_of("export", net_file, plan_file, tmp_path / "out")
    assert document["run"]["result"]["folder"] == str(tmp_path / "out")
    assert document["run"]["result"]["manifest"]["workload"] == str(net_file)
    assert (tmp_path / "out.zip").is_file()
    assert document_of("verify", tmp_path / "out", "--model", net_file)["verified"]
    assert f"name it: secateur verify … --model {net_file}" in refused("verify", tmp_path / "out")
    moved = shutil.copyfile(net_file, tmp_path / "moved.py")
    net_file.unlink()
    assert "no workload file" in refused("verify", tmp_path / "out", "--model", net_file)
    assert "is what was exported" in secateur("verify", tmp_path / "out", "--model", moved).stdout


@pytest.mark.plain
def test_where_a_bundle_goes_must_be_said(net_file, tmp_path):
    plan_file = tmp_path / "plan.json"
    plan_file.write_text(SparsityPlan().to_json())  # `secateur plan` would load the model
    assert f"where to? secateur export {net_file} {plan_file} OUT" in refused("export", net_file, plan_file)
    assert "expected MODEL [PLAN] OUT, got 3 paths" in refused("export", net_file, plan_file, "a", "b")
    assert plan_file.is_file()


@pytest.mark.process
def test_formats_are_exported_told_of_and_verified_also_packed(net_file, plan_file, tmp_path):
    words = ("export", net_file, plan_file, tmp_path / "out", "--format", "onnx", "--opset", "18")
    done = secateur(*words)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    (weights,) = [line for line in lines if line.startswith("safetensors")]
    (onnx,) = [line for line in lines if line.startswith("onnx")]
    assert weights.endswith("the same bits: every tensor bit for bit, in a process that has no torch")
    assert onnx.endswith("outputs, in a process that has ONNX Runtime and no torch")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["formats"]["onnx"]["opset"] == 18
    assert manifest["formats"]["onnx"]["difference"] <= 1e-4
    assert {name: entry["format"] for name, entry in manifest["files"].items()} == {
        "model.safetensors": "safetensors",
        "model.onnx": "onnx",
        "plan.json": "plan",
        "card.md": "card",
        "card.html": "card",
    }
    checked = document_of("verify", tmp_path / "out.zip", "--model", net_file)
    assert (checked["verified"], checked["files"], set(checked["formats"])) == (True, 5, {"safetensors", "onnx"})
    assert document_of("verify", tmp_path / "out", "--model", net_file, "--no-run")["formats"] is None
    text = secateur("verify", tmp_path / "out", "--model", net_file).stdout
    assert "Read by a fresh process each: safetensors the same bits, onnx " in text


@pytest.mark.process
def test_formats_that_cannot_be_are_refused_before_anything_is_written(net_file, plan_file, tmp_path):
    words = ("export", net_file, plan_file, tmp_path / "out")
    assert "no format 'gguf'; choose from safetensors, pt2, onnx" in refused(*words, "--format", "onnx,gguf")
    assert "an opset is ONNX's" in refused(*words, "--opset", "18")
    assert "opset must be a positive whole number" in refused(*words, "--format", "onnx", "--opset", "0")
    assert not (tmp_path / "cwd" / ".secateur").exists()
    said = refused(*words, "--format", "huggingface")
    assert "the format huggingface cannot hold this model: Net is not a Hugging Face model" in said
    assert "leave huggingface out, or --skip-refused" in said
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.zip").exists()


@pytest.mark.process
def test_formats_that_cannot_be_are_left_out_with_the_reason_if_one_asks_for_that(net_file, plan_file, tmp_path):
    words = ("export", net_file, plan_file, tmp_path / "out")
    done = secateur(*words, "--format", "huggingface,onnx", "--skip-refused")
    assert done.exit_code == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("no huggingface: ")]
    assert "is not a Hugging Face model" in line
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (set(manifest["formats"]), set(manifest["refused"])) == ({"safetensors", "onnx"}, {"huggingface"})
    assert not (tmp_path / "out" / "huggingface").exists()
    assert "no huggingface" in (tmp_path / "out" / "card.md").read_text()


@pytest.mark.process
def test_what_a_model_prints_is_not_taken_for_the_answer(net_file, tmp_path):
    text = net_file.read_text().replace("def forward(self, x):", "def forward(self, x):\n        print('forward')")
    net_file.write_text("print('module')\n" + text.replace("def workload():", "def workload():\n    print('workload')"))
    document_of("targets", net_file)
    secateur("plan", net_file, "--uniform", "0.5", "--out", tmp_path / "plan.json")
    SparsityPlan.read(tmp_path / "plan.json")
    assert secateur("export", net_file, tmp_path / "plan.json", tmp_path / "out").exit_code == 0
    document_of("verify", tmp_path / "out", "--model", net_file)


def test_init_writes_a_file_once(tmp_path):
    assert document_of("init", tmp_path / "mine.py")["file"] == str(tmp_path / "mine.py")
    before = (tmp_path / "mine.py").read_text()
    assert "exists already" in refused("init", tmp_path / "mine.py")
    assert (tmp_path / "mine.py").read_text() == before
    assert "ends in .py" in refused("init", tmp_path / "mine.txt")
    assert "cannot write" in refused("init", tmp_path / "none" / "mine.py")


def test_a_cancelled_sweep_prints_one_document_and_says_how_to_go_on(net_file, monkeypatch):
    monkeypatch.setattr(RunStore, "stopping", lambda self, run: True)
    done = secateur("sweep", net_file, "--json")
    assert done.exit_code == 2
    json.loads(done.stdout)  # one document, and no more
    assert "`secateur resume" in done.stderr
    monkeypatch.undo()


def test_a_run_can_be_cancelled_and_resumed(net_file, tmp_path):
    runs = RunStore(Workspace(tmp_path / "cwd" / ".secateur"))
    run, _ = runs.submit("sweep", *launch.sweep_submission(SweepRequest(str(net_file), (0.5,))))
    assert document_of("cancel", run.id)["state"] == "cancelled"
    assert document_of("resume", run.id)["run"]["state"] == "finished"
    assert "only an interrupted, stopped, cancelled or failed run can be resumed" in refused("resume", run.id)


def test_the_workspace_may_come_from_the_environment(net_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "elsewhere"))
    document_of("sweep", net_file, "--sparsities", "0.5")
    assert (tmp_path / "elsewhere" / "secateur.sqlite").is_file()
    assert not Path(".secateur").exists()


BAD_SPARSITIES = ("1", "1.0", "50", "-0.1", "nan", "inf")


@pytest.mark.plain
@pytest.mark.parametrize("sparsity", BAD_SPARSITIES)
def test_a_sparsity_outside_is_refused_with_the_mend(net_file, sparsity):
    assert "Divide by 100" in refused("sweep", net_file, f"--sparsities=0.5,{sparsity}")
    assert "Divide by 100" in refused("plan", net_file, f"--uniform={sparsity}")
    assert not Path(".secateur").exists()


COMMANDS_WITH_MODEL = {
    "targets": lambda model, plan: ("targets", model),
    "sweep": lambda model, plan: ("sweep", model),
    "plan": lambda model, plan: ("plan", model, "--uniform", "0.5"),
    "apply": lambda model, plan: ("apply", model, plan),
    "export": lambda model, plan: ("export", model, plan, "out"),
}
LOOKING = {
    "plans": lambda model, plan: ("plans", model),
    "diff": lambda model, plan: ("diff", model, plan, plan),
    "plan --from": lambda model, plan: ("plan", model, "--from", "a"),
}


@pytest.mark.parametrize(
    "words", [*COMMANDS_WITH_MODEL.values(), *LOOKING.values()], ids=[*COMMANDS_WITH_MODEL, *LOOKING]
)
def test_every_command_that_takes_a_model_refuses_an_unknown_one(words, plan_file):
    assert "unknown model 'resnet-51'; samples: fashion-resnet, fashion-vit, tiny-gpt" in refused(
        *words("resnet-51", plan_file)
    )
    assert "`secateur init none.py` writes one" in refused(*words("none.py", plan_file))
    assert not Path("out").exists()


BAD_FILES = {
    "NaN weights": ("net = Net()", "net = Net()\n    net.fc2.weight.data[0] = float('nan')", "fc2.weight of net holds"),
    "no examples": ("Examples(x, labels)", "Examples(x[:0], labels[:0])", "0 example"),
    "one example": ("Examples(x, labels)", "Examples(x[:1], labels[:1])", "needs at least 2"),
    "an error": ("net = Net()", "net = Net(3)", "raised TypeError"),
    "other weights": (
        "net = Net()",
        "net = Net()\n    net.load_state_dict({'fc1.weight': torch.zeros(1), 'x': torch.zeros(1)})",
        "raised RuntimeError: Error(s) in loading state_dict",  # torch says it in several lines
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS_WITH_MODEL.values(), ids=COMMANDS_WITH_MODEL)
@pytest.mark.parametrize(("old", "new", "mend"), BAD_FILES.values(), ids=BAD_FILES)
def test_every_command_that_loads_a_model_refuses_a_bad_one(net_file, plan_file, words, old, new, mend):
    text = net_file.read_text()
    net_file.write_text(
        text.replace(old, new).replace("with torch.no_grad():", "with torch.no_grad():\n        pass\n    if 0:")
    )
    assert mend in refused(*words(net_file, plan_file))
    assert not Path("out").exists()


def test_a_sweep_of_nothing_is_refused(net_file):
    assert "matches no target; did you mean fc" in refused("sweep", net_file, "--layers", "fc12")
    assert "is not a regular expression" in refused("sweep", net_file, "--layers", "(")
    assert "expected values such as 0.5,0.9, got ''" in refused("sweep", net_file, "--sparsities", "")
    assert "no criterion 'best'" in refused("sweep", net_file, "--criterion", "best")
    assert "no criterion 'best'" in refused("plan", net_file, "--uniform", "0.5", "--criterion", "best")
    assert "try --device cpu" in refused("sweep", net_file, "--device", "warp")


@pytest.mark.parametrize(
    "words",
    [
        ("sweep",),
        ("sweep", "m", "--sparsities", "half"),
        ("sweep", "m", "--samples", "some"),
        ("sweep", "m", "--ratio", "0.5"),
        ("plan", "m"),
        ("plan", "m", "--uniform", "half"),
        ("prune", "m"),
        ("apply", "m"),
        ("show",),
        ("merge",),
    ],
)
def test_a_wrong_use_is_refused_in_one_line_like_anything_else(words):
    refused(*words)


@pytest.mark.parametrize("samples", ["0", "1", "-5"])
def test_too_few_samples_are_refused(net_file, plan_file, samples):
    for words in (("sweep", net_file), ("apply", net_file, plan_file), ("export", net_file, plan_file, "out")):
        assert "whole number of at least 2" in refused(*words, "--samples", samples)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("{", "is not JSON"),
        ('{"format": "secateur.plan", "version": 9}', "upgrade secateur"),
        ('{"format": "secateur.plan", "version": 1, "cuts": [{"target": "fc1", "sparsity": 50}]}', "Divide by 100"),
        ('{"format": "secateur.plan", "version": 1, "cuts": [{"target": "fc7", "sparsity": 0.5}]}', "did you mean fc"),
    ],
)
def test_a_damaged_plan_is_refused(net_file, tmp_path, text, mend):
    plan = tmp_path / "bad.json"
    plan.write_text(text)
    assert mend in refused("apply", net_file, plan)
    assert mend in refused("export", net_file, plan, "out")
    assert os.listdir() in ([], [".secateur"])


def test_what_is_not_there_is_refused(net_file, tmp_path, plan_file):
    assert "cannot read the plan none.json: No such file" in refused("apply", net_file, "none.json")
    assert "is not a bundle" in refused("verify", "none")
    assert "there is no workspace at" in refused("show", "beef")
    document_of("targets", net_file)  # makes one
    assert "no run 'beef'" in refused("show", "beef")
    assert "no run 'beef'" in refused("cancel", "beef")
    assert "no run 'beef'" in refused("stop", "beef")
    assert "no run 'beef'" in refused("resume", "beef")
    (tmp_path / "out").mkdir()
    assert "exists already" in refused("export", net_file, plan_file, tmp_path / "out")


@pytest.mark.process
def test_a_damaged_bundle_is_refused(net_file, plan_file, tmp_path):
    document_of("export", net_file, plan_file, tmp_path / "out")
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "its hash differs" in refused("verify", tmp_path / "out")


WITH_WORKSPACE = {
    "models": lambda file, plan: ("models",),
    "targets": lambda file, plan: ("targets", file),
    "sweep": lambda file, plan: ("sweep", file),
    "runs": lambda file, plan: ("runs",),
    "show": lambda file, plan: ("show", "abc"),
    "stop": lambda file, plan: ("stop", "abc"),
    "cancel": lambda file, plan: ("cancel", "abc"),
    "resume": lambda file, plan: ("resume", "abc"),
    "apply": lambda file, plan: ("apply", file, plan),
    "export": lambda file, plan: ("export", file, plan, "out"),
    "show --by": lambda file, plan: ("show", "abc", "--by", "class"),
    "broken": lambda file, plan: ("broken", "abc", "fc1"),
    "merge": lambda file, plan: ("merge", Workspace("other").folder),
    "plans": lambda file, plan: ("plans", file),
    "diff": lambda file, plan: ("diff", file, "a", "b"),
    "plan --from": lambda file, plan: ("plan", file, "--from", "a"),
}  # fmt: skip


# of a workspace that may not be written; the runs that are named here are in none
LOOKING = {"models", "runs", "show", "stop", "cancel", "resume", "broken", "plans", "diff", "plan"}


@pytest.mark.parametrize("words", WITH_WORKSPACE.values(), ids=WITH_WORKSPACE)
def test_every_command_with_a_workspace_refuses_one_that_it_cannot_use(words, net_file, plan_file, monkeypatch):
    words = words(net_file, plan_file)
    folder = Workspace(".secateur").folder
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
        if words[0] in LOOKING:
            assert "is read-only" not in secateur(*words).stderr
        else:
            assert "is read-only" in refused(*words)
    with closing(sqlite3.connect(folder / "secateur.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    assert "upgrade secateur, or choose another" in refused(*words)
    (folder / "secateur.sqlite").write_bytes(b"not a database" * 1000)
    assert "is damaged" in refused(*words)
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["targets", "sweep", "apply", "export", "merge"])
def test_a_locked_workspace_is_refused(name, net_file, plan_file, monkeypatch):
    monkeypatch.setattr(folder, "LOCK_SECONDS", 0.02)
    with closing(sqlite3.connect(Workspace(".secateur").database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked by another process" in refused(*WITH_WORKSPACE[name](net_file, plan_file))


def test_workspaces_are_merged_and_a_sweep_reuses_what_they_measured(net_file):
    for name in ("fc1", "fc2"):
        document_of("sweep", net_file, "--layers", name, "--sparsities", "0.5", "--workspace", name)
    first, second = document_of("merge", "fc1", "fc2", "--workspace", "all")
    assert (first["source"], first["added"], len(first["runs"])) == (str(Path("fc1").resolve()), 10, 1)
    assert (second["added"], second["known"], second["differing"]) == (5, 5, 0)  # 5 of them are the dense model's
    again = document_of("sweep", net_file, "--sparsities", "0.5", "--workspace", "all")
    assert (again["run"]["reused"], again["run"]["total"]) == (10, 10)  # two cells on five batches
    text = secateur("merge", "fc1", "--workspace", "all").stdout
    assert "fc1: nothing new; 10 measurements were here already." in text


def test_measurements_that_differ_are_never_passed_over_in_silence(net_file):
    for name in ("a", "b"):
        document_of("sweep", net_file, "--sparsities", "0.5", "--workspace", name)
    with Workspace("b").write() as db:
        db.execute("UPDATE evidence_rows SET scores = zeroblob(length(scores))")
        reseal(db)
        db.execute("UPDATE runs SET state = 'queued'")
    before = document_of("runs", "--workspace", "a")
    said = refused("merge", "b", "--workspace", "a")
    assert "measurements that both have differ, by up to 1 in one example's score" in said
    assert said.count("1 thread, torch") == 2
    assert "merge with --atol 1 to keep those here" in said
    assert document_of("runs", "--workspace", "a") == before
    text = secateur("merge", "b", "--workspace", "a", "--atol", "1").stdout
    assert "of these differ, by at most 1 in one example's score" in text
    assert "Those here stay" in text
    assert "had not ended there: merge again when it has, or `secateur resume" in text


@pytest.mark.plain
def test_a_merge_that_is_refused_leaves_no_workspace_and_says_what_was_merged_before(net_file):
    assert "there is no workspace at none" in refused("merge", "none")
    assert not Path(".secateur").exists()
    Workspace("a"), Workspace("b")
    Path("b/secateur.sqlite").write_bytes(b"a letter" * 999)
    done = secateur("merge", "a", "b")
    assert done.exit_code == 2
    assert "a: nothing new" in done.stdout
    assert "cannot be read (file is not a database)" in done.stderr
    assert f"; merged before it: {Path('a').resolve()}" in done.stderr


@pytest.fixture
def sliced(net_file, with_slices):
    """Id of a sweep of two layers at two sparsities that says which examples it measured; three classes."""
    run = document_of("sweep", net_file, "--sparsities", "0.5,0.9", "--samples", "all")["run"]["id"]
    with_slices(RunStore(Workspace(".secateur")), run)
    return run


def test_drops_are_shown_class_by_class(sliced):
    document = document_of("show", sliced, "--by", "class")
    assert (document["by"], len(document["cells"])) == ("class", 4)
    for cell in document["cells"]:
        slices = cell["slices"]
        assert sum(one["n"] for one in slices) == 40
        # the mean over the classes, each weighed by its size, is the drop over all
        assert sum(one["n"] * one["drop"]["value"] for one in slices) / 40 == pytest.approx(cell["drop"]["value"])
    chosen = document_of("show", sliced, "--by", "class", "--target", "fc2", "--sparsity", "0.9")["cells"]
    assert [(c["cut"]["target"], c["cut"]["sparsity"]) for c in chosen] == [("fc2", 0.9)]
    text = secateur("show", sliced, "--by", "class", "--target", "fc1").stdout
    assert text.split()[:6] == ["target", "removed", "all", "0", "1", "2"]
    assert [line.split()[:3] for line in text.splitlines()[1:3]] == [["fc1", "50", "%"], ["fc1", "90", "%"]]
    assert "of 6 looked at together" in text  # two cuts, three classes


def test_the_examples_that_a_cut_breaks_are_listed(sliced):
    document = document_of("broken", sliced, "fc2", "--sparsity", "0.9", "--limit", "3")
    assert document["cut"] == {
        "target": "fc2",
        "granularity": "weight",
        "sparsity": 0.9,
        "criterion": "magnitude",
        "align": 1,
    }
    (cell,) = document_of("show", sliced, "--by", "class", "--target", "fc2", "--sparsity", "0.9")["cells"]
    assert (document["n_broken"] - document["n_better"]) / document["n"] == pytest.approx(cell["drop"]["value"])
    assert len(document["examples"]) == min(3, document["n_broken"]) > 0
    assert [(e["dense_score"], e["score"]) for e in document["examples"]] == [(1.0, 0.0)] * len(document["examples"])
    text = secateur("broken", sliced, "fc2", "--sparsity", "0.9", "--limit", "3").stdout
    assert text.split()[:4] == ["position", "class", "dense", "cut"]
    assert "of 40 examples came out worse" in text


def test_slices_that_there_are_not_are_refused_with_those_there_are(sliced, net_file, plan_file):
    assert "no column 'colour' in this run; choose one of ['class']" in refused("show", sliced, "--by", "colour")
    assert "no target 'fc3'; did you mean fc" in refused("show", sliced, "--by", "class", "--target", "fc3")
    assert "no cell of sparsity 0.7 there; it has 0.5, 0.9" in refused("broken", sliced, "fc1", "--sparsity", "0.7")
    assert "name one: --sparsity 0.5, 0.9" in refused("broken", sliced, "fc1")
    assert "add --by, e.g. --by class" in refused("show", sliced, "--target", "fc1")
    assert "given a percentage? divide by 100" in refused("show", sliced, "--by", "class", "--sparsity", "90%")
    assert "is not in the range" in refused("broken", sliced, "fc1", "--limit", "0")
    plan_run = document_of("apply", net_file, plan_file)["run"]["id"]
    assert "is no sweep but of the kind measure" in refused("show", plan_run, "--by", "class")


def test_a_sweep_of_an_older_version_has_no_slices_and_says_how_to_get_them(tmp_path):
    Path(".secateur").mkdir()
    shutil.copy(Path(__file__).parents[1] / "workspace-version-1.sqlite", ".secateur/secateur.sqlite")
    (run,) = document_of("runs")
    for words in (("show", run["id"], "--by", "class"), ("broken", run["id"], "fc1", "--sparsity", "0.5")):
        assert "made by an older Secateur; sweep again, and what is known is read back" in refused(*words)


def test_options_alone_open_the_dashboard(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda path, command: called.append(command))
    monkeypatch.setattr("subprocess.call", lambda command: 0)
    secateur("--port", "8600", "--no-browser")
    secateur("dashboard", "--workspace", "ws")
    asked = [json.loads(command[-1]) for command in called]
    assert [command[1:-1] for command in called] == [["-P", "-m", "dashboard"]] * 2
    assert [(a["workspace"], a["port"], a["browser"]) for a in asked] == [
        (str(Path(".secateur").resolve()), 8600, False),
        (str(Path("ws").resolve()), 8501, True),
    ]


def test_the_dashboard_is_not_opened_for_what_cannot_be_shown(monkeypatch):
    monkeypatch.setattr(os, "execv", lambda path, command: pytest.fail("it was opened"))
    assert "unknown model" in refused("dashboard", "resnet-51")
    assert "70000 is not in the range" in refused("--port", "70000")


def test_a_fault_of_ours_is_one_line_and_a_failure(net_file, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("division by\nzero")

    monkeypatch.delenv("SECATEUR_DEBUG", raising=False)
    monkeypatch.setattr("core.workload.description.describe", broken)
    line = refused("targets", net_file)
    assert "unexpected ZeroDivisionError: division by zero" in line
    assert "please report it; SECATEUR_DEBUG=1 shows where it happened" in line
    assert "Traceback" not in line
    monkeypatch.setenv("SECATEUR_DEBUG", "1")
    done = secateur("targets", net_file)
    assert isinstance(done.exception, ZeroDivisionError)  # with its traceback, for whoever mends it
    assert done.exit_code != 0


@pytest.fixture
def left_by_hand(monkeypatch):
    """Ctrl-C while the command waits for its run."""

    def wait(store, run, news):
        if not store.get(run.id).stopping:
            raise KeyboardInterrupt
        return store.get(run.id)

    monkeypatch.setattr(following, "_wait", wait)
    monkeypatch.setattr(launch, "_start_worker", lambda runs, *queued: None)


@pytest.mark.plain
def test_leaving_a_sweep_that_was_started_elsewhere_leaves_it_alone(net_file, left_by_hand):
    runs = RunStore(Workspace(".secateur"))
    run, is_new = launch.start_sweep(runs, SweepRequest(str(net_file), (0.5,)))
    assert is_new
    done = secateur("sweep", net_file, "--sparsities", "0.5")
    assert done.exit_code == 2
    assert f"run {run.id} was started elsewhere and goes on; `secateur stop {run.id}` stops it" in done.stderr
    assert (runs.get(run.id).state, runs.get(run.id).stopping) == ("queued", False)
    assert len(runs.list()) == 1


@pytest.mark.plain
def test_leaving_one_s_own_sweep_stops_it(net_file, left_by_hand):
    done = secateur("sweep", net_file, "--sparsities", "0.5")
    assert done.exit_code == 2
    (run,) = RunStore(Workspace(".secateur")).list()
    assert run.state == "cancelled"
    assert f"`secateur resume {run.id}` goes on" in done.stderr


@pytest.mark.process
def test_a_bundle_names_the_file_to_trust_on_the_command_line(net_file, plan_file, tmp_path):
    document_of("export", net_file, plan_file, tmp_path / "out")
    assert f"--model {net_file}" in refused("verify", tmp_path / "out")
    assert document_of("verify", tmp_path / "out", "--model", net_file)["verified"]


@pytest.mark.plain
def test_a_criterion_that_there_is_not_is_refused_before_the_dense_pass(net_file):
    net_file.write_text(net_file.read_text().replace("time.sleep(PAUSE)", "raise RuntimeError('a pass was made')"))
    assert "no criterion 'best'" in refused("sweep", net_file, "--criterion", "best")


def test_a_device_without_numbers_is_refused(net_file, plan_file):
    for words in (("sweep", net_file), ("apply", net_file, plan_file), ("export", net_file, plan_file, "out")):
        assert "device 'meta' cannot be used here (it holds no numbers); try --device cpu" in refused(
            *words, "--device", "meta"
        )
    assert not Path("out").exists()


def test_pairs_print_the_strongest_interactions_and_keep_them(net_file):
    document = document_of("pairs", net_file, "--sparsity", "0.6")
    assert (document["run"]["kind"], document["run"]["state"]) == ("pairs", "finished")
    (pair,) = document["report"]["pairs"]
    assert (pair["a"]["target"], pair["b"]["target"], pair["a"]["sparsity"]) == ("fc1", "fc2", 0.6)
    assert pair["joint"]["n"] == 40
    assert document_of("show", document["run"]["id"]) == document
    text = secateur("show", document["run"]["id"]).stdout
    assert "fc1 at 60 %" in text
    assert "Adding up single drops is off by" in text
    assert "would by chance alone" in text
    assert document["run"]["id"] in secateur("runs").stdout
    assert "is no sweep but of the kind pairs" in refused("show", document["run"]["id"], "--by", "class")


def test_pairs_that_make_no_sense_are_refused(net_file):
    assert "1 target makes no pair" in refused("pairs", net_file, "--layers", "fc1")
    assert "Divide by 100" in refused("pairs", net_file, "--sparsity", "50")
    assert "must be above 0" in refused("pairs", net_file, "--sparsity", "0")
    assert "max_pairs must be" in refused("pairs", net_file, "--max-pairs", "0")


@pytest.fixture
def in_patterns(net_file, with_slices):
    """Id of a sweep of weights at 50 % and of two patterns; fc1 has 6 inputs, which 2:4 does not divide."""
    words = ("--sparsities", "0.5", "--patterns", "2:4, 1x2", "--samples", "all")
    run = document_of("sweep", net_file, *words)["run"]["id"]
    with_slices(RunStore(Workspace(".secateur")), run)
    return run


def test_patterns_have_tables_of_their_own_and_say_what_makes_them_fast(in_patterns):
    report = document_of("show", in_patterns)["report"]
    assert [(cell["cut"]["target"], cell["cut"]["granularity"]) for cell in report["cells"]] == [
        (layer, granularity) for layer in ("fc1", "fc2") for granularity in ("weight", "2:4", "1x2")
    ]
    text = secateur("show", in_patterns).stdout
    weights, fixed, tiles, rest = text.split("\nlayer")[0], *text.split("\nlayer")[2:4], text.split("\n\n")[-1]
    assert "dense accuracy" in weights
    assert fixed.splitlines()[0].split() == [",", "N", "of", "every", "M", "stay", "2:4"]
    assert tiles.splitlines()[0].split() == [",", "tiles", "of", "1x2", "50", "%"]
    assert "To be fast: 2:4 needs an NVIDIA GPU of compute capability 8.0" in rest
    assert "To be fast: tiles of 1x2 need a block-sparse engine" in rest
    assert rest.count("fc1 2:4 failed: 2:4 needs a multiple of 4 inputs, and fc1 has 6") == 1


def test_a_pattern_is_looked_at_by_the_name_of_its_curve(in_patterns):
    """The layer's own name is its weights, or there would be no way to tell the three cuts of 50 % apart."""
    assert document_of("broken", in_patterns, "fc2", "--sparsity", "0.5")["cut"]["granularity"] == "weight"
    assert document_of("broken", in_patterns, "fc2 2:4")["cut"]["granularity"] == "2:4"
    assert document_of("broken", in_patterns, "fc2 1x2")["cut"]["granularity"] == "1x2"
    lines = secateur("show", in_patterns, "--by", "class", "--target", "fc2 1x2").stdout.splitlines()
    assert lines[1].split()[:6] == ["fc2", "50", "%", "in", "tiles", "of"]
    assert "no target 'fc2 1:4'; did you mean fc2 2:4?" in refused("broken", in_patterns, "fc2 1:4")


def test_a_search_answers_for_every_curve(net_file):
    words = ("--sparsities", "0.1,0.5", "--patterns", "2:4,1x2", "--mode", "tolerance", "--samples", "all")
    text = secateur("sweep", net_file, *words).stdout
    for curve in ("fc1", "fc1 2:4", "fc1 1x2", "fc2", "fc2 2:4", "fc2 1x2"):
        assert sum(line.startswith(f"{curve}: ") for line in text.splitlines()) == 1
    assert "fc1 2:4: no measured sparsity within 1.00 points" in text


@pytest.mark.plain
def test_a_bad_pattern_is_refused_before_anything_is_loaded(net_file):
    assert "a pattern is N:M with 1 <= N < M <= 32" in refused("sweep", net_file, "--patterns", "4:2")
    assert "got '4by4'" in refused("sweep", net_file, "--patterns", "2:4,4by4")


def test_a_plan_of_one_pattern_can_be_applied_and_names_what_it_left_out(net_file, tmp_path):
    done = secateur("plan", net_file, "--pattern", "2:4", "--json")
    assert [cut["target"] for cut in json.loads(done.stdout)["cuts"]] == ["fc2"]
    assert done.stderr == "left out: 2:4 needs a multiple of 4 inputs, and fc1 has 6\n"
    (tmp_path / "plan.json").write_text(done.stdout)
    assert document_of("apply", net_file, tmp_path / "plan.json")["run"]["result"]["n_removed"] == 12
    tiles = secateur("plan", net_file, "--pattern", "1x2", "--uniform", "0.25", "--json").stdout
    assert [cut["sparsity"] for cut in json.loads(tiles)["cuts"]] == [0.25, 0.25]


@pytest.mark.plain
def test_a_plan_must_be_told_how_much_goes(net_file):
    assert "say what to cut: --uniform 0.5" in refused("plan", net_file)
    assert "how much goes?" in refused("plan", net_file, "--pattern", "4x4")
    assert "is 0.5, for 2:4 says so; got 0.7" in refused("plan", net_file, "--pattern", "2:4", "--uniform", "0.7")


def test_a_plan_that_cannot_take_all_that_was_asked_for_is_refused_with_the_reason(net_file):
    reason = "0.97 of the 8 channels of fc1 would leave none"
    assert reason in refused("plan", net_file, "--uniform", "0.5", "--channels", "0.97")
    assert "none that can go; leave heads out of the plan" in refused(
        "plan", net_file, "--uniform", "0.5", "--heads", "1e-1"
    )
    done = secateur("plan", net_file, "--channels", "0.97")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "would cut nothing" in done.stderr
    assert "is not a regular expression" in refused("plan", net_file, "--channels", "0.5", "--layers", "(")
    assert "align must be a whole number of at least 1" in refused(
        "plan", net_file, "--channels", "0.5", "--align", "0"
    )
