"""What leaves a screen for somebody else: its address, tables and names of files, the page that is sent, names of runs.

Front doors: `address`, `take_away`, `report_button`, `run_menu`.
It never knows what a single screen shows.
"""
