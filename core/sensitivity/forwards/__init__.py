"""Outputs of the dense model and of cut ones on batches, by replay where that is exact, else by full passes.

Front doors: `batches.batches_of`, `passes.FullForwards`, `replayed.ReplayForwards`, `dense_scores.DenseScores`.
It never knows plans or criteria: a cut is a dictionary of tensors.
"""
