"""Commands that look at models, runs, plans and examples, and start no long work.

Commands import options, what opens a workspace and tables; nothing but the registry in `core.cli` imports a command.
This room never knows a worker: what it prints is on disk already, or is read from the model in this process.
"""
