"""Formats that a bundle can hold besides its plan: a module each that writes and checks, and one registry.

From here: `registry`; `facts` says without torch what each is, holds and needs.
A format never knows the bundle it lies in: it is given a model in memory (`subject`) and a path.
"""
