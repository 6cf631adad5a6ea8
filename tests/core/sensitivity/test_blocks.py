"""Blocks: each is skipped in turn, and the rest of the model sees its input in place of its output."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core import Cut, Examples, SecateurError, SparsityPlan, SweepRequest, Workload, accuracy, sweep
from core.pruning.masks import MaskMaker
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.sweep import Sweep
from core.workload.discovery import find_targets
from core.workspace import Workspace


class Residual(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.inner, self.shortcut = nn.Linear(n_in, n_out), nn.Linear(n_in, n_out, bias=False)

    def forward(self, x):
        return torch.relu(self.inner(x)) + (x if x.shape[-1] == self.inner.out_features else self.shortcut(x))


class Deep(nn.Module):
    """Two blocks that keep their shape, one that does not."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Residual(6, 6), Residual(6, 6), Residual(6, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.blocks(x))


@pytest.fixture
def deep():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = Deep()
        examples = Examples(torch.randn(40, 6), torch.randint(3, (40,)))
    return Workload("deep", model, examples, accuracy(), batch_size=16)


def swept(workload, folder, **fields):
    """Cells by target, and all evidence on disk."""
    workspace, found = Workspace(folder), {}
    request = SweepRequest("deep", (0.5,), blocks=True, **fields)
    with Measurement(workload, EvidenceStore(workspace)) as measurement:
        cells = plan_cells(measurement.targets, request)
        Sweep(measurement, cells, request, lambda news: found.update({c.cut: c for c in news.cells.values()})).run()
        reasons = measurement.full_passes()
    with workspace.connect() as db:
        return found, [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")], reasons


def test_blocks_are_found_in_stacks_and_stand_after_layers_and_heads(deep):
    targets, _ = find_targets(deep.model)
    blocks = [target for target in targets if target.granularity == "block"]
    assert [block.name for block in blocks] == ["blocks.0", "blocks.1", "blocks.2"]
    assert targets[-3:] == tuple(blocks)
    assert blocks[0].n_weights == 6 * 6 + 6 + 6 * 6


def test_skipping_is_what_the_model_says_without_the_block(deep, tmp_path):
    cell = swept(deep, tmp_path)[0][Cut("blocks.1", "block")]
    x, labels = deep.evaluation.tensors
    with torch.inference_mode():
        right = deep.model.head(deep.model.blocks[2](deep.model.blocks[0](x))).argmax(-1) == labels
    assert cell.metric is not None
    assert cell.metric.value == pytest.approx(right.float().mean().item())


def test_replayed_and_full_passes_leave_the_same_evidence(deep, tmp_path):
    _, replayed, reasons = swept(deep, tmp_path / "a")
    assert swept(deep, tmp_path / "b", replay=False)[1] == replayed
    assert all("blocks.2" in reason for reason in reasons)  # the others are replayed


def test_a_block_that_changes_the_shape_fails_with_the_reason(deep, tmp_path):
    cell = swept(deep, tmp_path)[0][Cut("blocks.2", "block")]
    assert (cell.state, cell.metric, cell.drop) == ("failed", None, None)
    assert cell.reason == "blocks.2 cannot be skipped: it makes (3, 4) of (3, 6)"


def test_two_blocks_at_once_and_a_cut_within_one(deep):
    both = SparsityPlan((Cut("blocks.0", "block"), Cut("blocks.1", "block")))
    within = SparsityPlan((Cut("blocks.0", "block"), Cut("blocks.0.inner", "weight", 0.5)))
    with Measurement(deep, None) as measurement:
        alone = measurement.measure(SparsityPlan((Cut("blocks.0", "block"),)))
        results = [measurement.measure(both), measurement.measure(within)]
        measurement.replay()
        again = [
            found.scores.tolist()
            for i in range(len(measurement.batches))
            for _, _, found in measurement.run([(i, [(0, both), (1, within)])])
        ]
    assert results[1] == alone  # what is cut in a block that is skipped makes no difference
    values = [sum(sum(scores) for scores in again[k::2]) / 40 for k in (0, 1)]
    assert values == pytest.approx([result.metric.value for result in results])


def test_hooks_are_gone_and_the_model_is_as_it_was(deep, tmp_path):
    before = {name: tensor.clone() for name, tensor in deep.model.state_dict().items()}
    swept(deep, tmp_path)
    assert all(torch.equal(before[name], tensor) for name, tensor in deep.model.state_dict().items())
    assert not any(module._forward_hooks for module in deep.model.modules())


def test_no_mask_skips_a_block(deep):
    targets, _ = find_targets(deep.model)
    with pytest.raises(SecateurError, match=r"no mask makes block blocks\.0 pass its input on"):
        MaskMaker(deep.model, targets).masks(SparsityPlan((Cut("blocks.0", "block"),)))


def test_blocks_are_swept_only_when_asked_for(deep, tmp_path):
    request = {"sparsities": (0.5,), "preview": False}
    without = sweep(deep, workspace=tmp_path, **request)
    assert {cell.cut.granularity for cell in without.cells} == {"weight"}
    only = sweep(replace(deep, name="only"), workspace=tmp_path, sparsities=(), heads=False, blocks=True)
    assert {cell.cut.granularity for cell in only.cells} == {"block"}
