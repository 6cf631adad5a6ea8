"""Streamlit screens over the plain values of `core`; `python -m dashboard` starts them.

Nothing outside imports from here: `core` starts it by name.
It never imports torch, and never computes what a worker should: it asks for a run and reads the workspace.
"""
