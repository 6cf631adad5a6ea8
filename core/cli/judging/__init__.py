"""Commands that judge: certificates of plans, and gates between models.

Nothing but the registry in `core.cli` imports a command.
This room never knows how a bound is made: that is `core.certificates`.
"""
