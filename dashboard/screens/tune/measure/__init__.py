"""Measuring the plan on screen: on how many examples, how long that should take, and the button.

Front door: `measure_form.draw`. It never waits for a worker.
"""
