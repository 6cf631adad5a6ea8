"""Tables that fit the window: what gives way where it is narrow, what is told once instead of in every row.

Knows frames and how much room there is; never what a table is about.
"""
