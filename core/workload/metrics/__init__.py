"""How outputs become scores of examples, and scores the one number that is shown.

Front doors: `metric.Metric`, `metric.accuracy` and its likes, `set_metrics`, `dense_metrics`.
It never knows which model gave the outputs, and no text of a function here may change without need: evidence is
kept by it.
"""
