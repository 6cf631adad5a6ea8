"""`secateur certify` and `secateur gate`, as a person calls them."""

import json

import pytest
import torch
from safetensors.torch import save_file

from core import SparsityPlan, load_workload
from core.certificates.certificate import Certificate
from core.jobs.runs import RunStore
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur
from tests.resealed import reseal

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]

MANY = """
def workload():
    from dataclasses import replace

    few = dense()
    x = torch.randn({n}, 6, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        labels = few.model(x).argmax(1)
    labels[:: 20] = 0
    return replace(few, evaluation=Examples(x, labels), batch_size=250{more})
"""
HOLDOUT = ", holdout=Examples(x[:400] + 1, labels[:400])"


@pytest.fixture
def named(write_file, net_text):
    """Writes the small net with n examples, and gives its path."""

    def write(n=2500, more="", name="many.py"):
        return write_file(name, net_text.replace("def workload():", "def dense():") + MANY.format(n=n, more=more))

    return write


@pytest.fixture
def plan(tmp_path):
    """Writes a plan of one sparsity in fc1, and gives its path."""

    def write(sparsity):
        path = tmp_path / f"plan-{sparsity}.json"
        document = {
            "format": "secateur.plan", "version": 1, "workload": "many",
            "cuts": [{"target": "fc1", "granularity": "weight", "sparsity": sparsity, "criterion": "magnitude"}],
        }  # fmt: skip
        path.write_text(json.dumps({**SparsityPlan().to_document(), "cuts": document["cuts"]}))
        return path

    return write


def drop_on(file, path, positions):
    """Drop of a plan on some examples, in plain torch."""
    workload = load_workload(str(file))
    (cut,) = SparsityPlan.read(path).cuts
    x, labels = workload.evaluation.inputs[0][positions], workload.evaluation.labels[positions]
    with torch.no_grad():
        dense = (workload.model(x).argmax(1) == labels).double().mean()
        weight = workload.model.fc1.weight.clone()
        gone = weight.flatten().abs().argsort(stable=True)[: round(cut.sparsity * weight.numel())]
        workload.model.fc1.weight.view(-1)[gone] = 0
        return float(dense - (workload.model(x).argmax(1) == labels).double().mean())


def test_a_plan_is_certified_on_what_is_set_aside_alone(named, plan):
    file, path = named(), plan(0.05)
    found = document_of("certify", file, path, "--within", "5")["run"]["result"]["certificate"]
    certificate = Certificate.from_json(found)
    assert certificate.state == "certified"
    assert certificate.bound <= 0.05
    assert certificate.n_held == 500
    drawn = torch.randperm(2500, generator=torch.Generator().manual_seed(0))[2000:][: certificate.n]
    assert certificate.drop == pytest.approx(drop_on(file, path, drawn))


def test_what_is_certain_ends_with_0_or_1_and_what_is_not_with_3(named, plan, tmp_path):
    file = named()
    out = tmp_path / "certificate.json"
    done = secateur("certify", file, plan(0.05), "--within", "5", "--out", out)
    assert (done.exit_code, "certified: at most" in done.stdout) == (0, True)
    assert Certificate.from_json(json.loads(out.read_text())).state == "certified"
    done = secateur("certify", file, plan(0.9), "--within", "5")
    assert done.exit_code == 1
    assert "not certified: the drop is" in done.stdout
    assert "plan number 2" in done.stdout
    unsure = secateur("certify", file, plan(0.3), "--within", "5")
    assert unsure.exit_code == 3
    assert "not certified: " in unsure.stdout
    assert "already" in refused("certify", file, plan(0.05), "--out", out)


def test_the_same_plan_counts_once_and_another_is_judged_more_strictly(named, plan):
    file = named()
    numbers = [
        document_of("certify", file, plan(s), "--within", "8")["run"]["result"]["certificate"]["number"]
        for s in (0.05, 0.1, 0.05)
    ]
    assert numbers == [1, 2, 1]


def test_examples_that_a_plan_was_measured_on_are_refused(named, plan):
    file = named()
    done = secateur("apply", file, plan(0.1), "--samples", "2100")
    assert done.exit_code == 0, done.stderr
    assert "100 of these examples were set aside" in done.stdout
    line = refused("certify", file, plan(0.05), "--within", "5")
    assert "refused: these examples were used for choosing: cuts were measured on 100 of the 500" in line
    assert "Workload(holdout=" in line


def test_where_it_is_not_known_which_examples_were_looked_at_nothing_is_certified(named, plan):
    file = named()
    assert secateur("apply", file, plan(0.1), "--samples", "2100").exit_code == 0
    workspace = Workspace(".secateur")
    with workspace.write() as db:
        assert db.execute("UPDATE batches SET positions = zeroblob(8)").rowcount >= 1
    assert "damaged in" in refused("certify", file, plan(0.05), "--within", "5")
    assert secateur("check", "--mend").exit_code == 0
    assert "which examples cuts were measured on is not known" in refused("certify", file, plan(0.05), "--within", "5")
    assert secateur("apply", file, plan(0.2), "--samples", "2100").exit_code == 0  # which says it anew
    assert "on 100 of the 500" in refused("certify", file, plan(0.05), "--within", "5")


def test_where_evidence_of_cuts_is_damaged_or_was_set_aside_nothing_is_certified(named, plan):
    file = named()
    assert secateur("apply", file, plan(0.1), "--samples", "2100").exit_code == 0
    workspace = Workspace(".secateur")
    with workspace.write() as db:
        assert db.execute("UPDATE evidence_rows SET changed = 0 WHERE changed = 1").rowcount >= 1
    assert "evidence" in (line := refused("certify", file, plan(0.05), "--within", "5"))
    assert "damaged in" in line
    assert secateur("check", "--mend").exit_code == 0
    assert "which examples cuts were measured on is not known" in refused("certify", file, plan(0.05), "--within", "5")
    assert secateur("apply", file, plan(0.1), "--samples", "2100").exit_code == 0  # which measures it anew
    assert "on 100 of the 500" in refused("certify", file, plan(0.05), "--within", "5")


def test_what_is_measured_on_all_keeps_off_what_is_set_aside(named, plan):
    file = named()
    assert document_of("apply", file, plan(0.1))["run"]["result"]["dense"]["n"] == 2000
    swept = document_of("sweep", file, "--sparsities", "0.5")
    assert swept["run"]["result"]["n"] == 2000
    assert any("500 of the 2,500" in note for note in swept["run"]["result"]["notes"])
    assert document_of("certify", file, plan(0.1), "--within", "9")["run"]["result"]["number"] == 1


def test_a_workload_of_few_examples_names_its_own(named, plan):
    assert "no example of net is set aside" in refused("certify", named(600), plan(0.05), "--within", "5")
    file = named(600, HOLDOUT, "own.py")
    certificate = document_of("certify", file, plan(0.02), "--within", "9")["run"]["result"]["certificate"]
    assert certificate["n_held"] == 400
    assert document_of("apply", file, plan(0.1))["run"]["result"]["dense"]["n"] == 600


def test_too_few_examples_for_the_bound_say_how_many_it_takes(named, plan):
    line = refused("certify", named(), plan(0.05), "--within", "0.5")
    assert "500 examples are too few: to be within 0.50 points even a plan that changes nothing takes 1,2" in line


def test_what_cannot_be_certified_is_refused(named, plan, net_text, write_file, tmp_path):
    file = named()
    empty = tmp_path / "empty.json"
    empty.write_text(SparsityPlan().to_json())
    assert "cuts nothing" in refused("certify", file, empty)
    other = tmp_path / "other.json"
    other.write_text(plan(0.1).read_text().replace("fc1", "block.fc"))
    assert "block.fc" in refused("certify", file, other, "--within", "5")
    assert "from 50 to below 100" in refused("certify", file, plan(0.1), "--confidence", "100")
    assert "above 0" in refused("certify", file, plan(0.1), "--within", "0")
    loss = write_file("loss.py", file.read_text().replace("accuracy()", "core_cross_entropy()").replace(
        "from core import", "from core import cross_entropy as core_cross_entropy, "))  # fmt: skip
    assert "as bad as it likes" in refused("certify", loss, plan(0.1))


def test_a_model_of_which_nobody_kept_its_training_is_compared_by_a_gate_and_not_certified(named, plan):
    file = named(more=", teacher=Net()")
    assert "nobody kept what the weights of net were trained on" in refused("certify", file, plan(0.1), "--within", "5")


def test_changed_data_are_refused_for_nobody_knows_what_was_seen(named, plan):
    file = named()
    document_of("apply", file, plan(0.1))
    file.write_text(file.read_text().replace("manual_seed(3)", "manual_seed(4)"))
    assert "were others when run" in refused("certify", file, plan(0.1), "--within", "5")


def test_a_certificate_that_was_stopped_goes_on_from_what_is_on_disk(named, plan, monkeypatch):
    from core.certificates import certifying
    from core.jobs.launch import resume

    file, path = named(), plan(0.3)
    done = secateur("certify", file, path, "--within", "5", "--workspace", "other", "--json")
    whole = json.loads(done.stdout)["run"]["result"]["certificate"]

    def killed(*args, **more):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        calls = []
        real = certifying.certified
        patch.setattr(certifying, "certified", lambda *a: real(*a) if calls.append(1) or len(calls) < 2 else killed())
        assert "the power went" in refused_of(secateur("certify", file, path, "--within", "5"))
    runs = RunStore(Workspace(".secateur"))
    (run,) = runs.list("certify")
    assert run.result["number"] == 1
    with runs.workspace.connect() as db:
        assert db.execute("SELECT count(*) FROM evidence WHERE cell = ?", (run.result["cell"],)).fetchone()[0] == 2
    resume(runs, run.id)
    again = runs.get(run.id)
    assert again.state == "finished"
    assert again.result["certificate"] == whole


def refused_of(done):
    assert done.exit_code == 2
    return done.stderr


@pytest.mark.process
def test_a_bundle_carries_its_certificate_and_verify_measures_it_again(named, plan, tmp_path):
    file, path, out = named(), plan(0.05), tmp_path / "out"
    certificate = document_of("certify", file, path, "--within", "5")["run"]["result"]["certificate"]
    done = secateur("export", file, path, out)
    assert done.exit_code == 0, done.stderr
    assert "The plan is certified: at most" in done.stdout
    assert "certified: at most" in (out / "card.md").read_text()
    verified = secateur("verify", out, "--model", file)
    assert verified.exit_code == 0, verified.stderr
    assert "measured again" in verified.stdout
    for name, value in {"bound": 0.001, "drop": -0.5, "n": 50, "number": 2}.items():
        reseal(out, lambda manifest, name=name, value=value: manifest["certificate"].update({name: value}))
        line = refused("verify", out, "--model", file, "--no-run")
        assert "the certificate does not say what is measured now" in line
        reseal(out, lambda manifest: manifest.update(certificate=certificate))
    reseal(out, lambda manifest: manifest["certificate"].update(examples="others"))
    assert "not those that the certificate was made on" in refused("verify", out, "--model", file, "--no-run")
    reseal(out, lambda manifest: manifest["certificate"].update(state="sure"))
    assert "was changed after it was written" in refused("verify", out, "--model", file, "--no-run")


def test_a_gate_tells_a_good_checkpoint_from_a_bad_one(named, tmp_path):
    file = named()
    model = load_workload(str(file)).model
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, good)
    save_file({name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}, bad)
    done = secateur("gate", good, file, "--within", "1", "--markdown", tmp_path / "g.md", "--junit", tmp_path / "g.xml")
    assert done.exit_code == 0, done.stderr
    assert "not worse" in done.stdout
    assert (tmp_path / "g.md").read_text().startswith("### ✅ not worse")
    assert (tmp_path / "g.xml").read_text().startswith("<?xml")
    assert secateur("gate", bad, file).exit_code == 1
    unsure = secateur("gate", good, file, "--within", "0.1", "--json")
    assert unsure.exit_code == 3
    report = json.loads(unsure.stdout)
    assert report["verdict"] == "cannot tell"
    assert report["more"] > 0
    assert report["unseen"] is False
    assert report["n"] == 2500
    guarded = secateur("gate", bad, file, "--within", "100", "--guard", "class=20")
    assert guarded.exit_code == 1
    assert "class = " in guarded.stdout


def test_what_a_gate_cannot_compare_is_refused(named, tmp_path, write_file):
    file = named()
    state = load_workload(str(file)).model.state_dict()
    broken, odd = tmp_path / "nan.safetensors", tmp_path / "odd.safetensors"
    save_file({name: torch.full_like(tensor, float("nan")) for name, tensor in state.items()}, broken)
    save_file({"fc1.weight": torch.zeros(3, 3)}, odd)
    assert "NaN" in refused("gate", broken, file)
    assert "other tensors" in refused("gate", odd, file)
    longer = named(2600, name="longer.py")
    assert "judged on other examples (2,600 and 2,500)" in refused("gate", longer, file)
    loss = write_file("loss.py", file.read_text().replace("accuracy()", "ce()").replace(
        "from core import", "from core import cross_entropy as ce, "))  # fmt: skip
    assert "judged by" in refused("gate", loss, file)
    assert "as bad as it likes" in refused("gate", loss, loss)
    assert "expects COLUMN=POINTS" in refused("gate", file, file, "--guard", "class")
    assert "no column 'colour'" in refused("gate", file, file, "--guard", "colour=2")
    assert "twice" in refused("gate", file, file, "--guard", "class=2", "--guard", "class=3")
    assert refused("gate", tmp_path / "nothing.safetensors", file)
