"""Models that are no sample and no file of Python: a folder or a name, data beside it, and all else inferred.

Front doors: `reference.canonical`, `reference.with_options`, `registry.look` (no torch: what is inferred, in
milliseconds), `registry.build` (the workload).
It never goes to the internet, never reads a pickle, runs nobody's code but what `py:` and `lightning:` name, and
imports no outside library before a reference needs it.
"""
