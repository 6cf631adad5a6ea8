"""Bundles: exporting a pruned model and verifying it."""
