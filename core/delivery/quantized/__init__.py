"""Quantized models: packed weights of few bits, and int8 ONNX by ONNX Runtime's own tools.

From here: `write_quantized` by the bits that `core.quantization` names, `write_quantized_onnx`.
It never knows bundles; how entries become bytes is the matter of `packed`.
"""
