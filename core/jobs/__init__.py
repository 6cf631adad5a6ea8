"""Long work in a process of its own: asked for, started, followed, stopped, gone on with.

Front doors: `launch` to start, `run.Run` and `runs.RunStore` to follow, `drafts.Drafts` for the plan being made;
`worker` is the process.
It never knows who asks, terminal or browser; and only `works` needs torch.
"""
