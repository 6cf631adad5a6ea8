"""The multiple-choice knapsack, exactly: of every row one level, within a limit, under rules.

Front doors: `knapsack.least_harm`, `knapsack.least_cost`, `rules.Rules`.
It never knows what rows, harm and cost stand for.
"""
