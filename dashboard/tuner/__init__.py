"""The tuner: every target of a model in one list that predicts and solves in the browser while a slider moves.

Front doors: `rows.tuner_rows`, `data.tuner_data`, `component.tuner`, `edits`, `goals`.
Its script knows no formula that Python has not: a test holds both together.
"""
