"""Measuring plans on a model that is afterwards what it was, with evidence on disk.

Front doors: `measurement.Measurement`, `plan_measurement`, `model_measurement`, `outcome.Outcome`,
`stopping.Cancelled`; for sweeps `ledger.Ledger` and `cost`.
It never knows why a plan is measured: a cell, a pair, a whole plan and an export are the same here.
"""
