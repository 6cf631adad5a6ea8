"""Metrics that are no mean over labelled examples: of the whole set, and against the dense model.

Front doors: `set_metrics.f1`, `set_metrics.spearman`, `dense_metrics.agreement` and its likes.
It never knows which model gave the outputs; a change of a function's text here makes evidence on disk another
metric's.
"""
