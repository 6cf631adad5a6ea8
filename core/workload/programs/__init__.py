"""Exported programs (`.pt2`): read without their pickles, and made a model of layers again.

Front doors: `archive.check_archive` (what may stand in one), `foreign.read` (somebody else's, without what would be
unpickled or run; no torch), `built.build` (the workload).
It never unpickles, never runs text of a file, and says of each parameter that is no layer's why it is none.
"""
