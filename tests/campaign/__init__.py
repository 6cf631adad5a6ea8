"""A campaign of faults: work of every kind, attacked, resumed, and compared with work that nothing happened to.

`python -m tests.campaign --help` says how to run it. Workers are forks of one process that has imported torch, so that
hundreds of faults fit into minutes; what they do from there on is what a worker does, to real files.
"""
