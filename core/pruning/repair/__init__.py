"""Repairs without training: weights that stay, biases and batch norms make up for what a plan removes.

Front door: `repairer.Repairer`. A repair is a function of the dense model, the plan and the calibration data; it
changes tensors, never a module. It never knows who asks: a cell, a plan and an export are the same here.
"""
