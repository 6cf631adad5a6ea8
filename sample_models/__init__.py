"""Small trained models with their data and the script that trained them.

Each sample is a module with a `workload()` function; `pyproject.toml` lists them as entry points of
the group `secateur.workloads`, which is how `core` finds them without importing this package.
"""
