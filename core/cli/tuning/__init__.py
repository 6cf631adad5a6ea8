"""Commands that make a plan: by one sparsity, by an allocation, by a solver, by measuring plans.

`goals.py` and `writing.py` are what they share; nothing but the registry in `core.cli` imports a command.
This room never knows how a plan is found: that is `core.tuning` and `core.plans.solver`.
"""
