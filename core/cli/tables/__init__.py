"""What commands print when nobody asked for JSON: a module for each kind of result.

Commands import these inside the function that prints, for rich is slow to import; `frame.py` is what all tables share.
This room never knows options, and computes nothing: words and numbers come from beside the thing they word.
"""
