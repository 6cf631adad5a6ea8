"""Lottery tickets: train, prune, rewind, train again, beside two controls.

Front doors: `experiment.Tickets`, `report`, `request`; the last two need no torch.
It never knows the evidence of sweeps: a ticket is judged by its own trainings.
"""
