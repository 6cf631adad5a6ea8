"""Which channels go together, and where the heads of an attention lie.

Front doors: `dependency.coupled_groups`, `groups.Group`, `head_layouts`, `slim_attention`.
It never knows criteria or plans: what it finds is offered by `core.pruning.structure` once it was tried.
"""
