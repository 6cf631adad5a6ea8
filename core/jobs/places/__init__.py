"""Where the cells of a run are measured besides in its own worker: other processes that help, each with its own model.

Front doors: `claimed.Claimed`, which shares what a run asks for; `helping.help_out`, the loop of `secateur work`;
`workers`, who helps. A place is a `core.sensitivity.measuring.elsewhere.Elsewhere`; `tests/core/jobs/places` holds what
each of them promises. It never knows what a run wants to find out, and decides nothing that a figure hangs on.
"""
