"""Criteria, masks, and applying a plan to a model."""
