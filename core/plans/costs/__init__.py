"""What a plan leaves of which cost: entries, parameters, operations, bytes, milliseconds.

Front doors: `left.plan_cost`, `totals.plan_totals`, `layers.layers_left`, `table.cost_table`, `savings.SavedTime`.
It never knows what a cut does to the metric.
"""
