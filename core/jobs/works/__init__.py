"""What the worker does for each kind of run, a module each.

Front door: `registry.perform`, which only the worker calls.
It never knows of a screen: all that it tells goes into the workspace.
"""
