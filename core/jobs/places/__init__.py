"""Places beside the worker's process where the cells of a sweep are measured: actors of Ray.

Front doors: `place.checked_place`, `place.check_there`, `ray_place.RayPlace`.
The driver is the worker as ever: it decides what is measured and is alone in writing to the workspace. An actor
(`remote_model`) holds the model and knows nothing of Ray; `dispatch` knows neither. Ray is imported by `ray_hands` alone,
and only when a run names it. What is timed (recovery, profiles) never goes through here.
"""
