"""Map: what every cut costs, cell by cell; who suffers, and whether drops add up.

Front door: `screen`; `sweep_form` and `maps_panel` draw parts of it.
It never decides a plan: a click hands a cut over.
"""
