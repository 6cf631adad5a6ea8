"""What runs inside a process of an engine: `serve.py` is started, and loads the file of the engine that is asked for.

From here nothing is imported: the processes may be of another Python, which has the engine, NumPy and nothing of ours.
A runner never knows Secateur, what a plan is, or what its times are compared with.
"""
