"""Fine-tuning a copy of a model for one round: loss, order, patience, precision, and where it stands.

Front doors: `training.fine_tune`, `split`, `recalibration`, `initial_weights`.
It never knows plans or rounds: masks are given, and held.
"""
