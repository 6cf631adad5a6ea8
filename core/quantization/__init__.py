"""Weights as whole numbers of few bits with a scale for each output channel, and what that costs each target.

Front doors: `weights.quantize_weights`, `sweep`, `report.QuantizationReport`, `request`, `bits`,
`quantization_words`.
It never knows files: who writes quantized weights is `core.delivery`.
"""
