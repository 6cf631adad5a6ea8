"""Long work in a process of its own: start, progress, cancel, resume."""
