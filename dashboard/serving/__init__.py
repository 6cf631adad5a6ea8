"""The server around Streamlit: the app with its downloads and scripts, and the addresses it answers on.

Front doors: `server`, `addresses`, `downloads`.
It never knows what the screens draw.
"""
