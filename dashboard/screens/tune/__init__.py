"""Tune: the plan that is being made, its prediction beside its measurement, and the plans that were kept.

Front door: `screen`; `predicted` and `plan_draft` hold what is known and what is being made.
It never predicts by itself: that is `core.tuning`.
"""
