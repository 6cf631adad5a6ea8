"""Metrics beside those of classes in `metric`, and `reading`: what outputs and labels are taken for, and refused as.

Front doors: the functions of `binary`, `positions`, `regression`, `set_metrics`, `dense_metrics`.
It never knows which model gave the outputs; a change of a function's text here makes evidence on disk another
metric's.
"""
