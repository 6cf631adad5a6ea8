"""Commands that start a measurement: a sweep, a plan, pairs, bits, a profile.

Each reads its options into a request, starts a run and follows it (`core.cli.following`); nothing but the registry in
`core.cli` imports a command. This room never knows how something is measured: that is the worker's.
"""
