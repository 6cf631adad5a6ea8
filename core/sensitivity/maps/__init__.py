"""A map before anybody draws it: rows and columns, marks, what is said of cells and limits. Plain values; no torch.

Front doors: `layout.sparsity_grid` and its kin, `described.map_of`, `limit_words.limit_line`.
`colours` says in which colour. It never knows who draws: a screen, a report, a notebook.
"""
