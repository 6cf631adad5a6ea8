"""Engines: what can run or hold a model, a file each: torch, torch.compile, ONNX Runtime, the ONNX writer, the state.

From here: `ENGINES` of `registry`, the shared contract in `engine`, `write_onnx`, `unique_state`.
An engine never knows what a plan is, what is measured with it, or what a bundle holds.
"""
