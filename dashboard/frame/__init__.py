"""What all screens share: theme, strip, workbench, measured numbers, live charts, fragments.

Front doors: `workbench`, `theme`, `measured`, `fragment`, `reading`, `plotly_live`, `strip`.
It never knows what a single screen shows.
"""
