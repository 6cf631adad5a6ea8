"""`core` reads like the page in its docstring."""

import inspect
from dataclasses import replace

import pytest
from torch import nn

import core
from core import LayerStats, PruningConfig, SecateurError, SensitivityReport, export, prune, sweep
from core.jobs.runs import RunStore
from core.workload.description import describe
from core.workspace import Workspace


@pytest.mark.parametrize("name", core.__all__)
def test_every_name_that_is_offered_is_there_and_explained(name):
    assert inspect.getdoc(getattr(core, name))


def test_nothing_is_offered_that_is_not_listed():
    assert set(core.__all__) == set(core._HOMES)
    with pytest.raises(AttributeError, match="module 'core' has no attribute 'grow'"):
        core.grow  # noqa: B018


def test_the_seed_of_the_idea():
    config = PruningConfig(target_sparsity=0.5, method="magnitude", schedule="one_shot", num_iterations=1)
    assert config == PruningConfig()
    stats = LayerStats(name="stem", total_params=144, pruned_params=72, sparsity=0.5)
    assert (stats.name, stats.total_params, stats.pruned_params, stats.sparsity) == ("stem", 144, 72, 0.5)


def test_the_page_by_hand(hand, tmp_path):
    report = sweep(hand, workspace=tmp_path, sparsities=(0.5, 0.75))
    assert isinstance(report, SensitivityReport)
    assert report.dense.value == 1
    assert [(c.cut.target, c.cut.sparsity, c.metric.value, c.drop.value) for c in report.cells] == [
        ("fc1", 0.5, 1, 0),
        ("fc1", 0.75, 0.5, 0.5),
        ("fc2", 0.5, 1, 0),
        ("fc2", 0.75, 0.5, 0.5),
    ]


@pytest.mark.process
def test_from_a_file_to_a_bundle(net_file, tmp_path):
    report = sweep(str(net_file), workspace=tmp_path / "ws", sparsities=(0.5,))
    result = prune(str(net_file), PruningConfig(target_sparsity=0.5))
    assert result.stats[0] == LayerStats("fc1", 48, 24, 0.5)
    assert result.measurement.dense == report.dense
    manifest = export(result, tmp_path / "half")
    assert manifest["measured"]["pruned"]["value"] == result.measurement.outcome.metric.value
    assert (tmp_path / "half" / "model.safetensors").is_file()


def test_a_sweep_in_a_script_is_a_run_like_any_other(net_file, tmp_path):
    report = sweep(str(net_file), workspace=tmp_path, sparsities=(0.5,))
    (run,) = RunStore(Workspace(tmp_path)).list()
    assert (run.id, run.kind, run.workload, run.state) == (report.run, "sweep", str(net_file), "finished")


def test_the_same_sweep_under_way_elsewhere_is_not_done_twice(hand, tmp_path):
    from dataclasses import asdict

    from core import SweepRequest

    RunStore(Workspace(tmp_path)).submit("sweep", "memory:hand", asdict(SweepRequest("memory:hand", (0.5,))))
    with pytest.raises(SecateurError, match="the same sweep is under way as run"):
        sweep(hand, workspace=tmp_path, sparsities=(0.5,))


def test_bad_input_is_told_by_the_function_that_got_it(hand, tmp_path):
    with pytest.raises(SecateurError, match="matches no target"):
        sweep(hand, workspace=tmp_path, layers="conv")
    with pytest.raises(SecateurError, match="unknown model"):
        prune("resnet-51", PruningConfig())
    with pytest.raises(SecateurError, match="cannot see a Workload made in this one; put it in a file"):
        export(prune(hand, PruningConfig()), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    hand.model.fc1.weight.data[0, 0] = float("nan")
    for call in (lambda: sweep(hand, workspace=tmp_path), lambda: prune(hand, PruningConfig())):
        with pytest.raises(SecateurError, match="NaN"):
            call()


def test_a_workload_made_in_a_script_is_not_remembered_as_a_model(hand, tmp_path):
    sweep(replace(hand, name="fashion-resnet"), workspace=tmp_path, sparsities=(0.5,))
    runs = RunStore(Workspace(tmp_path))
    assert [run.workload for run in runs.list()] == ["memory:fashion-resnet"]
    assert runs.descriptions() == {}
    assert runs.workloads() == ()
    assert runs.report(runs.list()[0]).workload == "memory:fashion-resnet"


def test_one_of_a_sample_s_name_does_not_take_its_place(hand, tmp_path):
    runs = RunStore(Workspace(tmp_path))
    sample = describe("fashion-resnet", hand)
    runs.remember(sample)
    sweep(replace(hand, name="fashion-resnet", model=nn.Linear(2, 2)), workspace=tmp_path, sparsities=(0.5,))
    assert runs.descriptions() == {"fashion-resnet": sample}
    assert runs.workloads() == ("fashion-resnet",)


def test_one_value_for_the_sparsities_is_told(hand, tmp_path):
    with pytest.raises(SecateurError, match="sparsities must be several fractions"):
        sweep(hand, workspace=tmp_path, sparsities=0.5)
