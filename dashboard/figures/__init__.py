"""Figures: pure functions from plain values to a Plotly figure."""
