"""The map of pruning × quantization: cells are what doing it gives, evidence is kept, answers add up."""

import copy
import json
from dataclasses import asdict

import pytest
import torch

from core import Cut, SecateurError, SparsityPlan
from core.quantization.measuring import QuantizedMeasurement
from core.quantization.quantized_plan import QuantizedPlan
from core.quantization.report import QuantizationReport, QuantizedCell
from core.quantization.request import QuantizationRequest
from core.quantization.sweep import QuantizationSweep, quantized_cells
from core.quantization.weights import output_axis, quantize_tensor
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from core.workspace import Workspace

FRACTION = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)


def mapped(workload, request, store=None, check=None):
    extra = {"check": check} if check else {}
    with QuantizedMeasurement(workload, store, "all", **extra) as measurement:
        cells = quantized_cells(measurement.targets, request)
        sweep = QuantizationSweep(measurement, cells, request, lambda news: None)
        sweep.run()
        return sweep.found(), sweep.reused, measurement.dense()


def request(**fields):
    return QuantizationRequest("x", **{"bits": (8, 2), "sparsities": (0.5,), **fields})


@pytest.mark.parametrize("replay", [False, True])
def test_a_cell_is_what_a_model_gives_whose_weight_was_cut_and_then_rounded(any_workload, replay):
    found, _, _ = mapped(any_workload, request(replay=replay))
    by_place = {(cell.target, cell.sparsity, cell.bits): cell for cell in found.cells}
    with Measurement(any_workload, None, "all") as measurement:
        for target in measurement.targets:
            if target.granularity != "weight":
                continue
            cut = measurement.maker.cut_tensors(SparsityPlan((Cut(target.name, "weight", 0.5),)))[target.parameter]
            rounded = quantize_tensor(cut, output_axis(target), 2).dequantized()
            model = copy.deepcopy(any_workload.model)
            model.get_parameter(target.parameter).data = rounded
            evidence = {}
            for i in range(len(measurement.batches)):
                with torch.inference_mode():
                    outputs = model(*measurement.inputs(i))
                measurement.dense_evidence(i)
                metric = any_workload.metric
                scores = metric.score_batch(outputs, measurement.labels(i), measurement.batches.size(i)).numpy()
                evidence[i] = type(measurement.dense_evidence(i))(scores, True)
            expected = measurement.outcome(evidence)
            cell = by_place[target.name, 0.5, 2]
            assert (cell.metric, cell.drop) == (expected.metric, expected.drop), target.name


def test_replayed_cells_are_those_of_full_passes(any_workload):
    assert mapped(any_workload, request(replay=True))[0] == mapped(any_workload, request(replay=False))[0]


def test_the_interaction_is_the_drop_of_both_beyond_the_sum(hand):
    """Quantizing to 8 bits moves no decision of the four points, so what both cost is what the cut costs."""
    found, _, dense = mapped(hand, request(bits=(8,), sparsities=(0.75,)))
    assert dense.value == 1.0
    values = {(c.target, c.sparsity, c.bits): c.drop.value for c in found.cells}
    assert values == {
        **{(name, None, 8): 0.0 for name in ("fc1", "fc2")},
        **{(name, 0.75, bits): 0.5 for name in ("fc1", "fc2") for bits in (None, 8)},
    }
    assert {c.interaction.value for c in found.cells if c.interaction} == {0.0}
    assert [(s, bits, mean.value) for s, bits, mean in found.means] == [(0.75, 8, 0.0)]


def test_what_was_measured_is_read_back_also_what_a_sweep_measured(conv, tmp_path):
    store = EvidenceStore(Workspace(tmp_path / "ws"))
    with Measurement(conv, store, "all") as measurement:
        measurement.measure(SparsityPlan((Cut("fc", "weight", 0.5),)))
        n_batches = len(measurement.batches)
    first, reused, _ = mapped(conv, request(), store)
    assert reused == n_batches  # of fc alone at 50 %
    again, reused, _ = mapped(conv, request(), store)
    assert again == first
    assert reused == len(first.cells) * n_batches


def test_one_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(conv, tmp_path):
    store = EvidenceStore(Workspace(tmp_path / "ws"))
    left = [12]

    def stop():
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        mapped(conv, request(replay=False), store, stop)
    resumed, reused, _ = mapped(conv, request(replay=False), store)
    assert reused > 0
    assert resumed == mapped(conv, request(replay=False))[0]


def test_a_plan_without_bits_is_the_sparsity_plan_and_bits_change_what_it_is_kept_under(conv):
    cut = (Cut("fc", "weight", 0.5),)
    assert QuantizedPlan(cut).fingerprint() == SparsityPlan(cut).fingerprint()
    with QuantizedMeasurement(conv, None) as measurement:
        plans = [SparsityPlan(cut), *(QuantizedPlan(cut, bits=(("fc", bits),)) for bits in (8, 4)), QuantizedPlan()]
        assert len({measurement.cell_key(plan) for plan in plans}) == 4
        assert measurement.cell_key(QuantizedPlan()) == measurement.dense_key


def test_a_whole_model_is_quantized_by_one_plan_and_is_dense_again_after(conv):
    before = {name: tensor.clone() for name, tensor in conv.model.state_dict().items()}
    with QuantizedMeasurement(conv, None) as measurement:
        names = [t.name for t in measurement.targets if t.granularity == "weight"]
        outcome = measurement.measure(QuantizedPlan(bits=tuple((name, 2) for name in names)))
    assert outcome.state == "measured"
    assert all(torch.equal(tensor, before[name]) for name, tensor in conv.model.state_dict().items())


def test_a_target_that_there_is_not_is_refused_with_a_hint(conv):
    with QuantizedMeasurement(conv, None) as measurement, pytest.raises(SecateurError, match="did you mean fc"):
        measurement.measure(QuantizedPlan(bits=(("fcc", 8),)))
    with pytest.raises(SecateurError, match="matches no weights"):
        mapped(conv, request(layers="nothing"))


def cell(target, sparsity, bits, low, high, interaction=None):
    drop = Estimate((low + high) / 2, low, high, 100)
    return QuantizedCell(target, sparsity, bits, 10, "measured", drop, drop, interaction)


def test_the_answer_counts_who_tolerates_what_by_intervals():
    """a tolerates all; b each alone and not both; c is undecided of both; d does not tolerate the cut."""
    sure = Estimate(0.02, 0.01, 0.03, 100)
    rows = {"a": (0.009, 0.005, 0.01), "b": (0.008, 0.004, None), "c": (0.007, 0.003, 0.02), "d": (0.05, 0.001, 0.06)}
    cells = []
    for target, (cut, bits, both) in rows.items():
        cells += [cell(target, 0.5, None, 0.0 if cut < 0.01 else 0.02, cut), cell(target, None, 4, 0.0, bits)]
        low = 0.0 if both is not None and target != "d" else 0.02
        cells.append(cell(target, 0.5, 4, low, 0.03 if both is None else both, sure if target == "b" else None))
    report = QuantizationReport(
        "r", "w", FRACTION, FRACTION, Estimate(0.9, 0.8, 1.0, 100), 0.01, tuple(cells), ((0.5, 4, sure),)
    )
    (answer,) = report.answers()
    assert (answer.n, answer.pruned, answer.quantized, answer.both) == (4, 3, 4, 1)
    assert (answer.either, answer.kept, answer.lost) == (3, 1, 1)
    assert answer.n_sure == 1
    assert answer.spearman == pytest.approx(-0.2)  # ranks of the cut 3 2 1 4, of the bits 4 3 2 1: 1 - 6 * 12 / 60
    read = [QuantizedCell.from_json(json.loads(json.dumps(one.to_json()))) for one in report.cells]
    assert tuple(read) == report.cells


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": ()}, "at least one number of bits"),
        ({"bits": (1,)}, "from 2 to 8"),
        ({"bits": 8}, "must be several"),
        ({"sparsities": (1.0,)}, r"fraction in \[0, 1\)"),
        ({"layers": "("}, "regular expression"),
        ({"samples": 1}, "at least 2"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(fields, message):
    with pytest.raises(SecateurError, match=message):
        request(**fields)


def test_a_request_survives_json_and_is_kept_sorted_and_distinct():
    one = request(bits=(4, 8, 4), sparsities=(0.8, 0.0, 0.5, 0.8))
    assert (one.bits, one.sparsities) == ((8, 4), (0.5, 0.8))
    assert QuantizationRequest.from_json(json.loads(json.dumps(asdict(one)))) == one


@pytest.mark.process
def test_the_command_prints_the_map_and_the_answers_and_is_merged_and_read_again(net_file, tmp_path):
    from click.testing import CliRunner

    from core.cli import group
    from core.jobs.runs import RunStore

    words = ["bits", str(net_file), "--bits", "8,2", "--sparsities", "0.5", "--workspace", str(tmp_path)]
    done = CliRunner().invoke(group, words, obj=words)
    assert done.exit_code == 0, done.output
    assert "50 %, 2 bit" in done.output
    assert "50 % and 8 bit," in done.output
    store = RunStore(Workspace(tmp_path))
    (run,) = store.list("bits")
    report = store.quantization_report(run)
    assert {cell.state for cell in report.cells} <= {"measured", "no effect"}
    assert [(answer.sparsity, answer.bits) for answer in report.answers()] == [(0.5, 8), (0.5, 2)]
    words += ["--json"]
    again = json.loads(CliRunner().invoke(group, words, obj=words).output)
    assert again["report"]["cells"] == report.to_json()["cells"]
    assert again["run"]["reused"] == again["run"]["total"]
    words = ["bits", str(net_file), "--bits", "8,9", "--workspace", str(tmp_path)]
    refused = CliRunner().invoke(group, words, obj=words)
    assert refused.exit_code == 2
    assert "from 2 to 8" in refused.output
