"""Commands that make a plan: by one sparsity, by an allocation, by a solver, by measuring plans.

`goal_options.py` is what they share; nothing but the registry in `core.cli` imports a command.
This room never knows how a plan is found: that is `core.tuning` and `core.plans.solver`.
"""
