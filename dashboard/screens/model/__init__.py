"""Model: what it is made of, what of it can be cut and what cannot, where the time goes.

Front door: `screen`.
It never cuts or measures anything.
"""
