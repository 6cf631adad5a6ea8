"""What a person wants of a model, and the next step to it on every screen.

From here: `choice.draw` for the first page and an empty map, `next_step` for the others, `wishes.chosen` for defaults.
It knows no screen but by its address.
"""
