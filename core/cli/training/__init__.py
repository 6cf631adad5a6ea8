"""Commands that train: recovery in rounds, and lottery tickets.

Each reads its options into a request, starts a run and follows it; nothing but the registry in `core.cli` imports a
command. This room never knows a model: training is the worker's.
"""
