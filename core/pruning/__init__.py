"""From a plan to a model: masks and cut tensors, structure that is tried before it is offered, smaller copies.

Front doors: `masks.MaskMaker`, `wearing.replaced` and `wearing.pruned_copy`, `structure.find_structure`,
`surgery.shrunk_copy`, `shrink.shrink`, `equality`, `uniform.uniform_plan`, `allocations`.
It never knows what a cut costs: nothing here is measured on evaluation data.
"""
