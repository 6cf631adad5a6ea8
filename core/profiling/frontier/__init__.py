"""The frontier: plans for several budgets, their measured quality beside milliseconds and bytes on one engine.

From here: `FrontierRequest`, `FrontierReport`, who is dominated and its words (no torch), `Cutter` and `timed` which
make models and time them. It never knows runs or workspaces, nor how a plan is solved for.
"""
