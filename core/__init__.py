"""Secateur: see where a neural network can be cut.

The Python interface, in one page:

    from core import PruningConfig, SweepRequest, export, load_workload, pairs, prune, reproduce, shrink, sweep

    report = sweep("fashion-resnet", sparsities=(0.5, 0.9))            # measured cells, with intervals
    sweep(model, loader, metric="accuracy")                            # your own model, and data as they are
    pairs("fashion-resnet", sparsity=0.5).summary()                    # do the drops of single cuts add up?
    result = prune("fashion-resnet", PruningConfig(target_sparsity=0.5))
    result.stats[0]                     # LayerStats(name='stem', total_params=144, pruned_params=72, sparsity=0.5)
    export(result, "out/fashion-resnet-50")                            # reloaded and compared before it returns
    quantize(result, "out/small.safetensors").quantized.drop           # int8 and packed, read back and measured
    reproduce("out/fashion-resnet-50").is_same                         # made again from the dense model, bit for bit
    IterativePruner(0.0, 0.9, num_iterations=5).run("fashion-resnet").history     # rounds, each trained and measured
    with held_masks(model, plan):                        # your own training loop; what the plan cut stays zero
        train(model)
    smaller = shrink(model, plan, inputs)                # channels, heads and blocks of the plan are gone, not zero

Names are loaded on first use, so that importing `core` is quick and the dashboard never imports torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from core.offline import be_silent

if TYPE_CHECKING:
    from core.api import export, pairs, prune, quantize, sweep, undo
    from core.delivery.bundles.shrunk_bundle import shrunk
    from core.errors import SecateurError
    from core.plans.plan import Cut, SparsityPlan
    from core.pruning.config import PruningConfig
    from core.pruning.layer_stats import LayerStats
    from core.pruning.shrink import shrink
    from core.pruning.structure import Structure, find_structure
    from core.pruning.uniform import uniform_plan
    from core.recovery.history import Round
    from core.recovery.iterative import IterativePruner
    from core.recovery.own_loop import held_masks
    from core.recovery.recovered import recovered
    from core.recovery.reproduction.remade import reproduce
    from core.recovery.settings import FineTuning
    from core.reports.figures import show
    from core.sensitivity.inside.report import RowWorth, UndoReport
    from core.sensitivity.inside.request import UndoRequest
    from core.sensitivity.pairs import PairResult, PairsReport, PairsRequest
    from core.sensitivity.report import CellResult, Estimate, SensitivityReport
    from core.sensitivity.request import SweepRequest
    from core.workload.examples import Examples
    from core.workload.inputs.drawn import examples_from
    from core.workload.inputs.given import workload_of
    from core.workload.inputs.names import pairing
    from core.workload.loading import load_workload
    from core.workload.metric import Metric, accuracy, cross_entropy, perplexity, top_k
    from core.workload.metrics.binary import (
        binary_accuracy,
        binary_agreement,
        binary_cross_entropy,
        binary_f1,
        label_accuracy,
        label_f1,
        label_match,
    )
    from core.workload.metrics.by_name import metric_named as metric
    from core.workload.metrics.dense_metrics import agreement, cosine_to_dense, kl_from_dense
    from core.workload.metrics.overlap import dice, iou
    from core.workload.metrics.positions import pixel_accuracy, token_accuracy
    from core.workload.metrics.ranking import ndcg
    from core.workload.metrics.regression import absolute_error, squared_error
    from core.workload.metrics.rouge import token_rouge
    from core.workload.metrics.set_metrics import f1, r2, spearman
    from core.workload.metrics.spans import span_f1
    from core.workload.scale import Scale
    from core.workload.workload import Workload

_HOMES = {
    "sweep": "core.api",
    "pairs": "core.api",
    "undo": "core.api",
    "prune": "core.api",
    "export": "core.api",
    "quantize": "core.api",
    "shrunk": "core.delivery.bundles.shrunk_bundle",
    "SecateurError": "core.errors",
    "Cut": "core.plans.plan",
    "SparsityPlan": "core.plans.plan",
    "LayerStats": "core.pruning.layer_stats",
    "PruningConfig": "core.pruning.config",
    "shrink": "core.pruning.shrink",
    "Structure": "core.pruning.structure",
    "find_structure": "core.pruning.structure",
    "uniform_plan": "core.pruning.uniform",
    "IterativePruner": "core.recovery.iterative",
    "held_masks": "core.recovery.own_loop",
    "recovered": "core.recovery.recovered",
    "reproduce": "core.recovery.reproduction.remade",
    "FineTuning": "core.recovery.settings",
    "Round": "core.recovery.history",
    "show": "core.reports.figures",
    "RowWorth": "core.sensitivity.inside.report",
    "UndoReport": "core.sensitivity.inside.report",
    "UndoRequest": "core.sensitivity.inside.request",
    "PairResult": "core.sensitivity.pairs",
    "PairsReport": "core.sensitivity.pairs",
    "PairsRequest": "core.sensitivity.pairs",
    "CellResult": "core.sensitivity.report",
    "Estimate": "core.sensitivity.report",
    "SensitivityReport": "core.sensitivity.report",
    "SweepRequest": "core.sensitivity.request",
    "Examples": "core.workload.examples",
    "examples_from": "core.workload.inputs.drawn",
    "workload_of": "core.workload.inputs.given",
    "pairing": "core.workload.inputs.names",
    "load_workload": "core.workload.loading",
    "Metric": "core.workload.metric",
    "metric": "core.workload.metrics.by_name",
    "accuracy": "core.workload.metric",
    "cross_entropy": "core.workload.metric",
    "perplexity": "core.workload.metric",
    "top_k": "core.workload.metric",
    "binary_accuracy": "core.workload.metrics.binary",
    "binary_agreement": "core.workload.metrics.binary",
    "binary_cross_entropy": "core.workload.metrics.binary",
    "binary_f1": "core.workload.metrics.binary",
    "label_accuracy": "core.workload.metrics.binary",
    "label_f1": "core.workload.metrics.binary",
    "label_match": "core.workload.metrics.binary",
    "iou": "core.workload.metrics.overlap",
    "dice": "core.workload.metrics.overlap",
    "ndcg": "core.workload.metrics.ranking",
    "absolute_error": "core.workload.metrics.regression",
    "r2": "core.workload.metrics.set_metrics",
    "pixel_accuracy": "core.workload.metrics.positions",
    "token_accuracy": "core.workload.metrics.positions",
    "squared_error": "core.workload.metrics.regression",
    "token_rouge": "core.workload.metrics.rouge",
    "span_f1": "core.workload.metrics.spans",
    "f1": "core.workload.metrics.set_metrics",
    "spearman": "core.workload.metrics.set_metrics",
    "agreement": "core.workload.metrics.dense_metrics",
    "kl_from_dense": "core.workload.metrics.dense_metrics",
    "cosine_to_dense": "core.workload.metrics.dense_metrics",
    "Scale": "core.workload.scale",
    "Workload": "core.workload.workload",
}

_OWN_NAMES = {"metric": "metric_named"}  # called otherwise at home, where `metric` is a module

__all__ = [  # noqa: RUF022 - as a reader meets them
    "load_workload", "Workload", "workload_of", "Examples", "examples_from", "pairing",
    "Metric", "metric", "Scale", "accuracy", "top_k", "cross_entropy", "perplexity",
    "f1", "binary_accuracy", "binary_f1", "binary_cross_entropy", "binary_agreement", "label_accuracy",
    "label_f1", "label_match", "token_accuracy", "pixel_accuracy", "iou", "dice", "squared_error",
    "absolute_error", "r2", "spearman", "ndcg", "span_f1", "token_rouge",
    "agreement", "kl_from_dense", "cosine_to_dense",
    "sweep", "SweepRequest", "SensitivityReport", "CellResult", "Estimate",
    "pairs", "PairsRequest", "PairsReport", "PairResult",
    "undo", "UndoRequest", "UndoReport", "RowWorth",
    "prune", "PruningConfig", "LayerStats", "SparsityPlan", "Cut",
    "IterativePruner", "FineTuning", "Round", "recovered", "shrunk", "held_masks",
    "shrink", "find_structure", "Structure", "uniform_plan",
    "quantize", "export", "reproduce", "show", "SecateurError",
]  # fmt: skip


be_silent()  # whatever is imported after us


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), _OWN_NAMES.get(name, name))
    raise AttributeError(f"module 'core' has no attribute {name!r}")
