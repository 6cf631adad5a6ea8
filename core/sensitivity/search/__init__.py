"""Which cells want which batch, and when a cell needs no more.

Front doors: `scheduler.Search`, `curtailment.look`, `bracket.bracket`, `cell_results.cell_result`.
It never sees a model, only scores: told the same evidence it asks the same questions.
"""
