"""Pure functions from plain values to a Plotly figure.

Front doors: one function a module, as `heatmap.heatmap`; `grid` lays out what a map draws.
It never knows Streamlit, the workspace or what was clicked.
"""
