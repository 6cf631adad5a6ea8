"""Scales of the metrics, without the metrics and their torch; `test_metric.py` holds them to be the same."""

from core.workload.scale import Scale

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
TOP_5 = Scale("top-5 accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
CROSS_ENTROPY = Scale("cross-entropy", "nats", higher_is_better=False, low=0.0, high=None)
PERPLEXITY = Scale("perplexity", "perplexity", higher_is_better=False, low=1.0, high=None, aggregate="exp_mean")
F1 = Scale("macro F1", "fraction", higher_is_better=True, low=0.0, high=1.0, aggregate="macro_f1")
SPEARMAN = Scale("Spearman", "Spearman", higher_is_better=True, low=-1.0, high=1.0, aggregate="spearman")
AGREEMENT = Scale("agreement", "fraction", higher_is_better=True, low=0.0, high=1.0)
KL_FROM_DENSE = Scale("KL from dense", "nats", higher_is_better=False, low=0.0, high=None)
COSINE_TO_DENSE = Scale("cosine to dense", "cosine", higher_is_better=True, low=None, high=1.0)
