"""The best round of a recovery: chosen on one part of the examples, judged on another."""

import json

import pytest
import torch

from core import load_workload
from core.jobs.runs import RunStore
from core.recovery import judge
from core.recovery.checkpoint import read_checkpoint
from core.workspace import Workspace
from tests.core.cli.running import document_of, refused, secateur
from tests.resealed import reseal

pytestmark = [pytest.mark.model, pytest.mark.usefixtures("own_folder")]

MORE = """
def workload():
    from dataclasses import replace

    few = dense()
    x = torch.randn({n}, 6, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        labels = few.model(x).argmax(1)
    y = torch.randn(90, 6, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        theirs = few.model(y).argmax(1)
    labels[:: 20] = 0
    return replace(few, evaluation=Examples(x, labels), training=Examples(y, theirs), batch_size=64)
"""
WORDS = ("--final", "0.7", "--rounds", "3", "--steps", "6", "--within", "60")


@pytest.fixture
def named(write_file, net_text):
    """Writes the small net with n examples and training data, and gives its path."""

    def write(n, name="net.py"):
        return write_file(name, net_text.replace("def workload():", "def dense():") + MORE.format(n=n))

    return write


def by_hand(file, checkpoint, positions):
    """Drop of a round on some examples, in plain torch."""
    workload, state = load_workload(str(file)), read_checkpoint(checkpoint).model
    x, labels = workload.evaluation.inputs[0][positions], workload.evaluation.labels[positions]
    with torch.no_grad():
        dense = (workload.model(x).argmax(1) == labels).double().mean()
        workload.model.load_state_dict(state)
        return float(dense - (workload.model(x).argmax(1) == labels).double().mean())


def test_the_best_round_is_chosen_on_the_first_examples_and_judged_on_the_others(named):
    file = named(400)
    run = document_of("recover", file, *WORDS)["run"]
    choice = run["result"]["choice"]
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    path = RunStore(Workspace(".secateur")).workspace.folder / run["result"]["checkpoint"]
    path = path.with_name(f"round-{choice['round']:03d}.safetensors")
    assert (choice["unseen"], choice["chosen"]["n"], choice["judged"]["n"]) == (True, 267, 133)
    assert choice["chosen"]["value"] == pytest.approx(by_hand(file, path, order[:267]))
    assert choice["judged"]["value"] == pytest.approx(by_hand(file, path, order[267:]))
    row = run["result"]["history"][choice["round"] - 1]
    assert row["drop"]["n"] == 400  # the table is about all of them
    assert row["chosen"] == choice["chosen"]
    said = secateur("recover", file, *WORDS).stdout
    assert "It was chosen by what it costs on the first examples:" in said
    assert "On others, by which no round was chosen, it costs" in said


def test_a_round_that_only_the_judging_examples_like_is_not_chosen(named, monkeypatch):
    """Within on all of them, not within on those that are chosen by."""
    file = named(400)
    first = document_of("recover", file, *WORDS)["run"]["result"]
    assert first["best"] == 3
    real = judge.drop_estimate

    def worse(scale, dense, scores, weights):
        found = real(scale, dense, scores, weights)
        return type(found)(1.0, 0.9, 1.0, found.n) if len(scores) == 267 else found

    monkeypatch.setattr(judge, "drop_estimate", worse)
    done = document_of("recover", file, *WORDS, "--workspace", "other")["run"]["result"]
    assert (done["best"], done["choice"]) == (None, None)


def test_fewer_examples_after_each_round_leave_all_others_to_judge_on(named):
    file = named(400)
    choice = document_of("recover", file, *WORDS, "--samples", "250")["run"]["result"]["choice"]
    assert (choice["chosen"]["n"], choice["skip"], choice["judged"]["n"]) == (250, 250, 150)


def test_of_few_examples_it_says_that_both_are_the_same(named):
    done = secateur("recover", named(120), *WORDS)
    assert done.exit_code == 0, done.stderr
    assert "It was chosen and is judged on the same 120 examples, where it costs" in done.stdout


def test_rounds_of_an_older_build_are_chosen_as_if_this_one_had_made_them(named, monkeypatch):
    file = named(400)
    with monkeypatch.context() as patch:
        patch.setattr(judge.Judge, "_choice", lambda self, found: None)
        old = document_of("recover", file, *WORDS)["run"]
    assert all(row["chosen"] is None for row in old["result"]["history"])
    again = document_of("recover", file, *WORDS)["run"]
    fresh = document_of("recover", file, *WORDS, "--workspace", "other")["run"]
    assert again["reused"] == 18  # every round was on disk
    assert again["result"]["choice"] == fresh["result"]["choice"]
    runs = RunStore(Workspace(".secateur"))
    run = runs.get(again["id"])
    runs.update(run.id, result={name: value for name, value in run.result.items() if name != "choice"})
    assert "chosen and is judged on the same 400 examples" in secateur("show", run.id).stdout


@pytest.mark.process
def test_a_bundle_of_the_round_says_both_figures_and_verify_measures_the_second_again(named, tmp_path):
    file, out = named(400), tmp_path / "out"
    assert secateur("recover", file, *WORDS, "--out", tmp_path / "round.py").exit_code == 0
    empty = tmp_path / "empty.json"
    empty.write_text('{"format": "secateur.plan", "version": 1, "workload": "net", "cuts": []}')
    done = secateur("export", tmp_path / "round.py", empty, out)
    assert done.exit_code == 0, done.stderr
    choice = json.loads((out / "manifest.json").read_text())["recovery_choice"]
    card = (out / "card.md").read_text()
    assert "The round is the sparsest of 3 within 60.00 points" in card
    assert "On others, by which no round was chosen, it costs" in card
    assert secateur("verify", out, "--model", tmp_path / "round.py", "--no-run").exit_code == 0
    reseal(out, lambda manifest: manifest["recovery_choice"]["judged"].update(value=0.0, low=-0.01, high=0.01))
    line = refused("verify", out, "--model", tmp_path / "round.py", "--no-run")
    assert "on examples that it was not chosen by is not what is measured now" in line
    reseal(out, lambda manifest: manifest.update(recovery_choice={**choice, "unseen": "yes"}))
    assert "was changed after it was written" in refused("verify", out, "--model", tmp_path / "round.py")
