"""Models in an engine that people ship to: written, loaded, believed or not, and timed in turn.

From here: `InTurns` of `turns`, which whoever compares models in an engine uses; `compared` of `believed`.
It never knows plans, nor what the times are for.
"""
