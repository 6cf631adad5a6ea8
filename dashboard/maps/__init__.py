"""The map in the browser: drawn on a canvas, so that hundreds of layers scroll, fold and recolour without a rerun.

Front door: `component.map_view`, given `data.map_data`. What a map holds, and what is said of it, is
`core.sensitivity.maps`; here it gets colours and hands. It never knows runs or screens.
"""
