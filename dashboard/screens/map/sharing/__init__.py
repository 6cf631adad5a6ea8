"""The Map screen for somebody else: what stands in its address, and another run beside the one that is shown.

Front doors: `map_address`, `compare_panel`.
It never draws the map itself.
"""
