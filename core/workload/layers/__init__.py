"""What a layer is, whatever its class is called and however it stores its weight.

Front door: `linear`. It never knows targets: what is offered is decided by `core.workload.discovery`.
"""
