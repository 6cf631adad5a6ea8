"""Intervals: of metrics and paired drops, on all examples or on those so far, of a mean or of a set.

Front doors: `intervals.metric_estimate`, `intervals.drop_estimate`, `anytime`, `interaction`, `risen.Risen`,
`sound`, `few`.
It never knows models or cells, only scores of examples.
"""
