"""The network as a graph: its operations, where targets lie in it, what is known there; drawn, and for other tools.

Front doors: `traced.network_of` (torch), `facts.layer_facts`, `drawn.drawing_of`, `svg`, `model_explorer`, `document`.
Only `traced` knows torch. Nothing here knows of runs or the workspace.
"""
