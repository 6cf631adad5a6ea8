"""Commands that write a model or check one that was written: export, shrink, quantize, verify, reproduce.

Nothing but the registry in `core.cli` imports a command.
This room never knows a format: which there are and what each holds is `core.delivery.formats`.
"""
