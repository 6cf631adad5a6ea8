"""Engines that people ship to, as `secateur pays` compares them: how each is written for and run, and what it does.

From here: `ADAPTERS` of `registry`, the contract in `adapter`, `Source` of a model, `Process` of an engine.
An adapter never knows what a plan is, nor what its times are compared with; its library is imported in its process.
"""
