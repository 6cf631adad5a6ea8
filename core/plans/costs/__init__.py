"""What a plan leaves of which cost: entries, parameters, operations, bytes, milliseconds.

Front doors: `left.plan_cost`, `totals.plan_totals`, `layers.layers_left`, `table.cost_table`, `savings.SavedTime`,
`stairs.engine_time`, `steps.on_steps`.
It never knows what a cut does to the metric.
"""
