"""What was measured in another workspace, taken over into this one: all of it or nothing.

Front doors: `merge.merge`, `merge.mergeable`, `merged.Merged`.
It never writes to the other workspace, and believes nothing that lies there before it was checked.
"""
