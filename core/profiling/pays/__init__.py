"""Where a plan pays: engines that people ship to, each with the dense, masked and shrunk model, as numbers and in int8.

From here: `PaysRequest`, `PaysReport` and its words (no torch), `pays` which measures.
It never knows runs or workspaces, nor how an engine's files are made.
"""
