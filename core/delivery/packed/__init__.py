"""Packed files: arrays as compressed streams in one safetensors file, smaller the more of them is zero.

From here: `packing` writes, `unpacking` reads and believes nothing before it is checked; both agree on `layout`.
It never knows models or plans, only named arrays and their scales.
"""
