"""A look at a model before long work: seconds, each finding with its mend.

Front door: `checkup.check_up`.
It never writes anything, and never decides what is measured.
"""
