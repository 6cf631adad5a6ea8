"""Delivery: a pruned model as files that were reloaded and compared before anybody is told that they were written.

From here: `bundles` (write, verify), `quantized`, `shrunk_workload`, and without torch `manifest`, `formats.facts`.
It never knows how a plan came about, how a model was recovered, or which run asked.
"""
