"""Sweeps: what each cut costs, with evidence on disk and honest intervals."""
