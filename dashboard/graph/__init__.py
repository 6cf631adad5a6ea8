"""The network in the browser: boxes and folded blocks, coloured by what may go, that light up with the map's rows.

Front doors: `data.graph_data`, `component.graph`.
It never knows the workspace or a run; layout is dagre's, served by `dashboard.serving`.
"""
