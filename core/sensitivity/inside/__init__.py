"""Inside a plan: what each of its rows is worth there, and where its damage starts.

Front doors: `around_sweep.AroundSweep`, `damage.damage_of`; without torch `request`, `rows`, `report`, `undo_words`.
It never chooses a plan, and never changes one.
"""
