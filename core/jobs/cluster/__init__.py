"""Cells measured by actors of Ray: on this machine, or on a cluster that a person named.

Front door: `ray_place.RayPlace`.
The driver is the worker as ever: it decides what is measured, and is alone in writing to the workspace. An actor
(`remote_model`) holds the model and knows nothing of Ray; neither does `dispatch`, which gives out bundles. Ray is
imported by `ray_hands` alone, when a run names it. What is timed (recovery, profiles) never goes through here.
"""
