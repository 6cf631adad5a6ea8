"""Making the weights of a bundle again, and saying where they part from those that were written.

Front doors: `remade.reproduce`, `parting`.
It never changes a bundle or a workspace.
"""
