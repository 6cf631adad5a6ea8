"""Quantization: weights as whole numbers of few bits with a scale for each output channel."""
