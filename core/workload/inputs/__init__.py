"""How inputs reach a model: by name, drawn from loaders and datasets, padded no longer than they must be.

Front doors: `names.pairing`, `names.by_name`, `drawn.examples_from`, `padding.Padding`, `given.workload_of`; without
torch `pairs`.
It never knows what is cut or measured; what a tensor means is told by its name alone, never by its values.
"""
