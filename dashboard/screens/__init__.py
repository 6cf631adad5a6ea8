"""A room for each screen; its panels and forms live with it.

Front doors: `screen` of each room, which `dashboard.app` shows.
A panel that two screens show lives with one of them; what all of them need is in `dashboard.frame`, which knows
none of them.
"""
