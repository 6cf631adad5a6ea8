"""Recover: rounds of pruning and training asked for, followed, and gone on from.

Front door: `screen`.
It never knows how training works: it fills in `core.recovery` settings.
"""
