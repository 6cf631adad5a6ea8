"""Profiles: what models cost to keep and to run, measured in turn on one machine: bytes, operations, memory, time.

From here: `profile`, `ProfileRequest`, `ProfileReport`, `flops_by_target`, and single measures for a bundle's card.
It never knows what a bundle is or where results are kept; what it compares are modules by name.
"""
