"""Deliver: models side by side; the chosen one written, checked, quantized and downloaded.

Front door: `screen`; `deliverables` is what there is to deliver.
It never writes a file of a model: a run does.
"""
