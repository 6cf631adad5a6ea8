"""How much each weight, channel or head matters, and the calibration data that a criterion may look at.

Front doors: `registry.CRITERIA`, `registry.CHANNEL_CRITERIA`, `calibration.Calibration`, `views`,
`one_thread.one_thread`.
It never knows how much is cut, and never sees evaluation data.
"""
