"""What is damaged in a workspace: rows that no reader can use, one rule for each table.

Front doors: `examined.examine`, `quarantine.set_aside`, `sound_rows`. It reads the workspace and never a model.
"""
