"""Which model something was measured on, and what was done to it before.

Front doors: `fingerprint.model_fingerprint`, `origin.Stage`, `kept_names.kept_name`.
It never reads what is kept under a hash: a change of what is hashed makes all evidence on disk another model's.
"""
