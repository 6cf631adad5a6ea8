"""What a forward pass holds, found out once for all plans: by cutting each thing that can be cut, running, comparing.

`counting.py` cuts and runs; `fitting.py` compares, as plain values. What a plan then leaves is for
`core.plans.costs.memory` to say, without torch.
"""
