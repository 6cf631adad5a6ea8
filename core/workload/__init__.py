"""What is studied: model, data and metric; loading one; finding what can be cut.

Front doors: `workload.Workload`, `loading.load_workload`, `examples.Examples`, `discovery.find_targets`,
`description.describe`; plain values without torch in `scale`, `target`, `target_words`, `description`.
It never knows what is cut, by which criterion, or that anything is measured.
"""
