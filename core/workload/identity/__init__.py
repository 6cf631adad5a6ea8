"""Which model, which code and which data something was measured on, as hashes.

Front doors: `fingerprint.model_fingerprint`, `code_text.code_text`, `origin.Stage`.
It never knows what is kept under a hash: a change here makes all evidence on disk another model's.
"""
