"""What a person calls a run; and labels that tell runs apart."""

import pytest

from core import SecateurError
from core.jobs.labels import label_run
from core.jobs.merging.merge import merge
from core.jobs.run_words import removed_words, run_label, sweep_command
from core.jobs.runs import RunStore
from core.workspace import Workspace


@pytest.fixture
def runs(tmp_path):
    return RunStore(Workspace(tmp_path / "ws"))


def submitted(runs, **request):
    asked = {"sparsities": [0.5], "weights": True, "heads": False, "layers": "", "seed": 0, **request}
    run, _ = runs.submit("sweep", "net.py", asked)
    runs.update(run.id, state="finished", result={"n": 200})
    return runs.get(run.id)


def test_what_is_given_changes_and_the_rest_stays(runs):
    run = submitted(runs)
    label_run(runs, run.id, name="  the  first ", star=True)
    found = label_run(runs, "the first", note="why it was made\n")
    assert (found.name, found.note, found.star) == ("the first", "why it was made", True)
    found = label_run(runs, run.id[:5], name="", star=False)
    assert (found.name, found.note, found.star) == (None, "why it was made", False)


@pytest.mark.parametrize(
    ("name", "said"), [("3f2a", "reads like a run's id"), ("x" * 81, "at most 80 letters"), ("taken", "already")]
)
def test_a_name_that_would_not_tell_runs_apart_is_refused(runs, name, said):
    label_run(runs, submitted(runs).id, name="taken")
    run = submitted(runs, seed=1)
    with pytest.raises(SecateurError, match=said):
        label_run(runs, run.id, name=name)
    assert runs.get(run.id).name is None


def test_a_run_that_goes_on_keeps_its_name(runs):
    run = submitted(runs)
    label_run(runs, run.id, name="long one")
    runs.update(run.id, state="failed")
    assert runs.requeue(run.id).name == "long one"


def test_names_come_with_a_merged_workspace_but_never_over_ours(runs, tmp_path):
    theirs = RunStore(Workspace(tmp_path / "there"))
    first, second = submitted(theirs), submitted(theirs, seed=1)
    label_run(theirs, first.id, name="small", star=True)
    label_run(theirs, second.id, name="taken", note="theirs")
    label_run(runs, submitted(runs, seed=2).id, name="taken")
    merge(runs.workspace, theirs.workspace.folder)
    assert (runs.get(first.id).name, runs.get(first.id).star) == ("small", True)
    assert (runs.get(second.id).name, runs.get(second.id).note) == (None, "theirs")


def test_a_label_begins_with_the_name_and_says_what_was_removed(runs):
    run = submitted(runs, channels=True, criteria=["wanda"], heads=True)
    assert removed_words(run.request) == "weights, channels & neurons, heads by wanda"
    named = label_run(runs, run.id, name="before", star=True)
    assert run_label(named).startswith("★ before · 20")
    assert run_label(named).endswith(f"weights, channels & neurons, heads by wanda · n = 200 · {run.id}")


def test_the_command_of_a_sweep_asks_for_the_same_again(runs, monkeypatch):
    """Read by the command line itself, it gives the request that was made."""
    from dataclasses import asdict

    from core.cli.measuring.sweep import sweep
    from core.sensitivity.request import SweepRequest

    asked = SweepRequest(
        "net.py", (0.25, 0.5), "fc|a b", False, 100, ("magnitude", "wanda"), 3, mode="race", tolerance=0.02,
        channels=True, align=8, patterns=("2:4",), preview=False, repair="least-squares", rule="sampling",
    )  # fmt: skip
    run, _ = runs.submit("sweep", "net.py", asdict(asked))
    import shlex

    words = shlex.split(sweep_command(runs.get(run.id), 100.0))
    given = sweep.make_context("sweep", words[2:]).params
    assert words[:3] == ["secateur", "sweep", "net.py"]
    assert (given["within"], asked.tolerance) == (2.0, 0.02)
    for name in ("sparsities", "layers", "heads", "samples", "criteria", "seed", "mode", "channels", "align", "rule"):
        assert given[name] == getattr(asked, name), name
    for name in ("patterns", "preview", "repair", "blocks", "weights", "device"):
        assert given[name] == getattr(asked, name), name
