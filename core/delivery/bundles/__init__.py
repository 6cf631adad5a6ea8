"""Bundles: weights, plan, manifest and card in one folder and a sealed zip; written, verified, read as a workload.

From here: `write_bundle`, `verify_bundle`, `shrunk`.
What stands in a format's file it leaves to `formats`, what people read of it to `card`.
"""
