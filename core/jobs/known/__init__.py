"""What a workspace knows by now of a model: cells, kept plans, rounds, sizes, variants; and kept plans in words.

Front doors: `findings`, `plan_book.PlanBook`, `kept_plan`, `kept_rounds`, `sizes`, `variants`, `plan_words`,
`search_words`.
It never starts a run, and never imports torch.
"""
