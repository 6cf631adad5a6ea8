"""What a person decides to cut, as plain values: the plan, patterns, schedules, facts of criteria, predictions.

Front doors: `plan.Cut`, `plan.SparsityPlan`, `criteria.FACTS`, `patterns.parse_pattern`, `prediction.Prediction`,
`cut_words`.
It never knows a model, only its targets, and never imports torch.
"""
