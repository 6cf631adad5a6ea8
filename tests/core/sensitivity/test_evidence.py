"""Evidence is kept under all that it depends on: nothing stale is served, nothing is measured twice."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core import Cut, Examples, Metric, SecateurError, SparsityPlan, accuracy, cross_entropy, load_workload, sweep
from core.sensitivity.evidence import BatchEvidence, Conditions, EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.workspace import Workspace
from core.workspace.rows import put_evidence

REQUEST = {"sparsities": (0.5, 0.9)}


@pytest.fixture
def store(tmp_path):
    return EvidenceStore(Workspace(tmp_path / "ws"))


def keys(store):
    with store._workspace.connect() as db:
        return {tuple(row) for row in db.execute("SELECT cell, batch FROM evidence")}


def evidence(*scores, changed=True, weights=None):
    return BatchEvidence(np.array(scores, "f4"), changed, None if weights is None else np.array(weights, "f4"))


def test_what_is_added_is_read_back_bit_for_bit(store):
    odd = evidence(0.1, float("nan"), -0.0, changed=False, weights=[1, 2, 0])
    store.add("cell", {"a": odd})
    found = store.read("cell", ["a", "b"])
    assert found.keys() == {"a"}
    assert found["a"].scores.tobytes() == odd.scores.tobytes()
    assert found["a"].weights.tolist() == [1, 2, 0]
    assert found["a"].changed is False


def test_what_is_there_is_never_edited(store):
    store.add("cell", {"a": evidence(1.0)})
    store.add("cell", {"a": evidence(2.0), "b": evidence(3.0)})
    assert {batch: found.scores.tolist() for batch, found in store.read("cell", ["a", "b"]).items()} == {
        "a": [1.0],
        "b": [3.0],
    }


def test_what_was_measured_is_on_disk_half_a_second_later(slow_file, tmp_path, monkeypatch):
    at_once, add_all = [], EvidenceStore.add_all

    def counted(self, found):
        found = list(found)
        at_once.append(len(found))
        add_all(self, found)

    monkeypatch.setattr(EvidenceStore, "add_all", counted)
    sparsities = tuple(i / 20 for i in range(1, 13))  # of two layers: 24 cells in every batch
    sweep(str(slow_file), workspace=tmp_path, sparsities=sparsities, samples=10, replay=False, threads=1)
    assert sum(at_once) == 2 * (24 + 1)  # and the dense model
    assert max(at_once) <= 0.5 / 0.06 + 1  # a cell takes 60 ms at least: so many are done in half a second


def test_a_key_changes_with_every_condition_and_every_part_of_a_cut():
    base = Conditions("model", "metric", "float32", "cpu", 0)
    cut = Cut("fc", "weight", 0.5, "magnitude")
    found = [base.cell_key(SparsityPlan((cut,)))]
    for name, other in (("model", "m"), ("metric", "m"), ("dtype", "d"), ("device", "cuda"), ("seed", 1)):
        found.append(replace(base, **{name: other}).cell_key(SparsityPlan((cut,))))
    for other in (replace(cut, target="fc2"), replace(cut, sparsity=0.50000001), replace(cut, criterion="wanda")):
        found.append(base.cell_key(SparsityPlan((other,))))
    found += [base.cell_key(SparsityPlan((Cut("fc", "head"),))), base.cell_key(SparsityPlan())]
    assert len(set(found)) == len(found)


def test_a_key_does_not_depend_on_whom_a_plan_was_made_for():
    conditions = Conditions("model", "metric", "float32", "cpu", 0)
    assert conditions.cell_key(SparsityPlan((), "a")) == conditions.cell_key(SparsityPlan((), "b"))


@pytest.fixture
def calls(conv):
    """Sizes of the batches that the model of `conv` was called with."""
    sizes = []
    conv.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    return sizes


@pytest.fixture
def scored(monkeypatch):
    """Sizes of the batches that were scored: a replayed cell makes no pass through the model that could be counted."""
    sizes, score_batch = [], Metric.score_batch

    def counted(metric, *given):
        scores = score_batch(metric, *given)
        sizes.append(len(scores))
        return scores

    monkeypatch.setattr(Metric, "score_batch", counted)
    return sizes


COUNTED = {**REQUEST, "replay": False}
BATCHES = [2, 8, 10, 4]  # of the 24 examples of `conv`
# the first batch twice, to see that the answer is the same, and once among others; then every batch
DENSE_PASSES = 3 + 4
KNOWN_DENSE_PASSES = 3 + 1  # the scores of the others are on disk, and no cut is there to be compared with the outputs
WAYS = pytest.mark.parametrize("replay", [True, False], ids=["replay", "full passes"])


def test_the_same_sweep_again_measures_nothing_but_the_dense_model(conv, calls, tmp_path):
    first = sweep(conv, workspace=tmp_path, **COUNTED)
    assert len(calls) == DENSE_PASSES + 6 * 4
    calls.clear()
    again = sweep(conv, workspace=tmp_path, **COUNTED)
    assert len(calls) == KNOWN_DENSE_PASSES
    assert (again.dense, again.cells) == (first.dense, first.cells)


@WAYS
def test_the_same_sweep_again_scores_nothing_but_the_dense_model(conv, scored, tmp_path, replay):
    first = sweep(conv, workspace=tmp_path, replay=replay, **REQUEST)
    assert sorted(scored) == sorted(BATCHES * (1 + 6))
    scored.clear()
    again = sweep(conv, workspace=tmp_path, replay=replay, **REQUEST)
    assert scored == [2]
    assert (again.dense, again.cells) == (first.dense, first.cells)


@WAYS
def test_what_was_replayed_is_not_measured_again_by_full_passes_nor_the_other_way_round(conv, scored, tmp_path, replay):
    first = sweep(conv, workspace=tmp_path, replay=replay, **REQUEST)
    scored.clear()
    again = sweep(conv, workspace=tmp_path, replay=not replay, **REQUEST)
    assert scored == [2]
    assert (again.dense, again.cells) == (first.dense, first.cells)


def test_a_larger_sweep_measures_only_what_is_new(conv, calls, tmp_path):
    sweep(conv, workspace=tmp_path, **COUNTED)
    calls.clear()
    sweep(conv, workspace=tmp_path, sparsities=(0.25, 0.5, 0.9), replay=False)
    assert len(calls) == DENSE_PASSES + 3 * 4


@WAYS
def test_a_larger_sweep_scores_only_what_is_new(conv, scored, tmp_path, replay):
    sweep(conv, workspace=tmp_path, replay=replay, **REQUEST)
    scored.clear()
    sweep(conv, workspace=tmp_path, replay=replay, sparsities=(0.25, 0.3, 0.5, 0.9))
    assert sorted(scored) == sorted(BATCHES * (1 + 6))


def test_more_samples_reuse_the_whole_batches_that_were_measured(conv, calls, tmp_path):
    sweep(conv, workspace=tmp_path, samples=20, **COUNTED)
    calls.clear()
    sweep(conv, workspace=tmp_path, samples="all", **COUNTED)
    assert calls == [2, 2, 3, 2, 4] + [4] * 6


def test_every_model_has_its_cells_measured_once(any_workload, tmp_path):
    sweep(any_workload, workspace=tmp_path, **REQUEST)
    store = EvidenceStore(Workspace(tmp_path))
    before = keys(store)
    sweep(copy.deepcopy(any_workload), workspace=tmp_path, **REQUEST)
    assert keys(store) == before


def changed_weights(workload):
    model = copy.deepcopy(workload.model)
    with torch.no_grad():
        model.fc.bias[0] += 1e-3
    return replace(workload, model=model)


def changed_buffer(workload):
    model = copy.deepcopy(workload.model)
    model.bn1.running_mean[0] += 1e-3
    return replace(workload, model=model)


def changed_data(workload):
    (x,) = workload.evaluation.inputs
    return replace(workload, evaluation=Examples(x + torch.tensor(1e-3), workload.evaluation.labels))


def changed_labels(workload):
    return replace(workload, evaluation=Examples(workload.evaluation.inputs, (workload.evaluation.labels + 1) % 3))


def changed_metric(workload):
    return replace(workload, metric=accuracy())


def changed_score(workload):
    return replace(workload, metric=Metric(cross_entropy().scale, lambda outputs, labels: outputs.square().mean(1)))


def changed_dtype(workload):
    (x,) = workload.evaluation.inputs
    data = Examples(x.double(), workload.evaluation.labels)
    return replace(workload, model=copy.deepcopy(workload.model).double(), evaluation=data)


def changed_code(workload):
    class Louder(type(workload.model)):
        def forward(self, x):
            return 1.5 * super().forward(x)

    model = copy.deepcopy(workload.model)
    model.__class__ = Louder
    return replace(workload, model=model)


def changed_setting(workload):
    model = copy.deepcopy(workload.model)
    model.bn1.eps = 1e-2
    return replace(workload, model=model)


@pytest.mark.parametrize(
    "change",
    [
        changed_weights,
        changed_buffer,
        changed_data,
        changed_labels,
        changed_metric,
        changed_score,
        changed_dtype,
        changed_code,
        changed_setting,
    ],
)
def test_nothing_stale_is_served_after_a_change(conv, tmp_path, change):
    sweep(conv, workspace=tmp_path / "used", **REQUEST)
    other = change(conv)
    in_used = sweep(other, workspace=tmp_path / "used", **REQUEST)
    in_fresh = sweep(other, workspace=tmp_path / "fresh", **REQUEST)
    assert (in_used.dense, in_used.cells) == (in_fresh.dense, in_fresh.cells)
    store = EvidenceStore(Workspace(tmp_path / "used"))
    assert len(keys(store)) == 2 * len(keys(EvidenceStore(Workspace(tmp_path / "fresh"))))


def test_an_edited_forward_in_a_file_is_measured_anew(net_file, tmp_path):
    first = sweep(str(net_file), workspace=tmp_path / "used", **REQUEST)
    net_file.write_text(net_file.read_text().replace("torch.relu(", "torch.square("))
    used = sweep(str(net_file), workspace=tmp_path / "used", **REQUEST)
    fresh = sweep(str(net_file), workspace=tmp_path / "fresh", **REQUEST)
    assert used.cells == fresh.cells
    assert used.cells != first.cells


def test_evidence_that_something_outside_the_model_has_made_stale_is_not_served(hand, tmp_path):
    """A forward may read what no fingerprint sees: then the dense scores differ, and the sweep says so."""
    mood = tmp_path / "mood"
    mood.write_text("1")

    class Moody(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return float(mood.read_text()) * self.fc(x)

    torch.manual_seed(0)
    workload = replace(hand, model=Moody(), metric=cross_entropy())
    sweep(workload, workspace=tmp_path, **REQUEST)
    mood.write_text("3")
    with pytest.raises(SecateurError, match=r"something that is not in its file decides .* use a fresh --workspace"):
        sweep(workload, workspace=tmp_path, **REQUEST)


def test_merged_from_two_workspaces_is_measured_by_one(conv, calls, tmp_path):
    parts = [Workspace(tmp_path / name) for name in ("one", "two")]
    sweep(conv, workspace=parts[0].folder, sparsities=(0.5,))
    sweep(conv, workspace=parts[1].folder, sparsities=(0.5, 0.9), samples=20)
    whole = sweep(conv, workspace=tmp_path / "whole", **REQUEST)
    sweep(conv, workspace=parts[1].folder, sparsities=(0.9,))
    with parts[0].write() as db:  # append-only and keyed by content: a union is all there is to merging
        with parts[1].connect() as other:
            rows = [tuple(row)[:-1] for row in other.execute("SELECT * FROM evidence")]
        put_evidence(db, rows)
    calls.clear()
    merged = sweep(conv, workspace=parts[0].folder, **REQUEST)
    assert len(calls) == KNOWN_DENSE_PASSES  # nothing was missing
    assert (merged.dense, merged.cells) == (whole.dense, whole.cells)
    with parts[0].connect() as a, Workspace(tmp_path / "whole").connect() as b:
        query = "SELECT * FROM evidence ORDER BY cell, batch"
        merged_rows = [tuple(row) for row in a.execute(query)]
        assert set(merged_rows) >= {tuple(row) for row in b.execute(query)}
        assert len(merged_rows) == len({row[:2] for row in merged_rows})


def test_evidence_is_keyed_by_content_and_not_by_a_file_s_place(net_file, write_file, tmp_path):
    other = write_file("moved/net.py", net_file.read_text())
    with (
        Measurement(load_workload(str(net_file)), None) as a,
        Measurement(load_workload(str(other)), None) as b,
    ):
        assert (a._conditions, a.batches.keys) == (b._conditions, b.batches.keys)


def test_evidence_of_channels_depends_on_what_the_group_consists_of(conv):
    with Measurement(conv, None) as measurement:
        groups = measurement.structure().groups
        keys = set()
        for plan in (
            SparsityPlan((Cut("conv1", "channel", 0.5),)),
            SparsityPlan((Cut("conv1", "channel", 0.5, align=2),)),
            SparsityPlan((Cut("conv1", "channel", 0.25),)),
            SparsityPlan((Cut("conv1", "weight", 0.5),)),
        ):
            keys.add(measurement.cell_key(plan))
        group = groups["conv1"]
        other = replace(group, slices=group.slices[:-1])
        assert other.fingerprint() != group.fingerprint()
        cut = SparsityPlan((Cut("conv1", "channel", 0.5),))
        keys.add(measurement._conditions.cell_key(cut, [other.fingerprint()]))
        assert len(keys) == 5


def test_many_cells_are_read_at_once_as_they_are_one_by_one(store):
    store.add("a", {"x": evidence(1, 0), "y": evidence(0, 0)})
    store.add("b", {"y": evidence(1, 1)})
    found = store.read_all(["a", "b", "c"], ["x", "y"])
    assert list(found) == ["a", "b", "c"]
    for cell, batches in found.items():
        alone = store.read(cell, ["x", "y"])
        assert batches.keys() == alone.keys()
        assert all(batches[key].scores.tobytes() == alone[key].scores.tobytes() for key in alone)


class Stop(Exception):  # noqa: N818 - asked for, no error
    pass


@pytest.mark.parametrize("stopped", [False, True])
def test_scores_of_the_dense_model_go_to_disk_together_and_all_of_them(tmp_path, monkeypatch, stopped, net_file):
    store, writes, write = EvidenceStore(Workspace(tmp_path)), [], EvidenceStore.add_all

    def spied(store, found):
        found = list(found)
        writes.append(len(found))
        write(store, found)

    monkeypatch.setattr(EvidenceStore, "add_all", spied)
    monkeypatch.setattr("core.sensitivity.forwards.dense_scores.FLUSH_SECONDS", 1e9)
    try:
        with Measurement(load_workload(str(net_file)), store) as measurement:
            n, key = len(measurement.batches), measurement.dense_key
            measurement.dense()
            if stopped:
                raise Stop
    except Stop:
        pass
    assert n > 2
    assert writes == [n]
    assert len(store.read(key, measurement.batches.keys, dense=True)) == n


def test_evidence_takes_little_more_disk_space_than_its_numbers(tmp_path):
    workspace, n, rng = Workspace(tmp_path), 250, np.random.default_rng(0)
    store = EvidenceStore(workspace, "a loss")
    for _ in range(30):  # batch by batch, as a sweep does
        found = BatchEvidence(rng.random(n, dtype=np.float32), True, losses=rng.random(n, dtype=np.float32))
        store.add_all((rng.bytes(32).hex(), rng.bytes(32).hex(), found) for _ in range(20))
    with workspace.connect() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert workspace.database.stat().st_size < 2 * 600 * 2 * 4 * n
