"""Staircases: milliseconds against width, of each coupled group and attention in each engine.

From here: `StairsRequest`, `StairsReport`, `stairs_words` (no torch), `measured` and `timed` of `measure`, and
`device`, which writes what measures the same on a device that is not here. It never knows runs or workspaces.
"""
