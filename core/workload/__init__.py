"""What is studied: model, data and metric; loading one; finding what can be cut.

Front doors: `workload.Workload`, `loading.load_workload`, `examples.Examples`, `metric.Metric`,
`discovery.find_targets`, `description.describe`, `code_text.code_text`; without torch `scale`, `target`,
`target_words`.
It never knows what is cut, by which criterion, or that anything is measured. `metric` and `code_text` keep their
text and their names: evidence on disk is found by a hash of both.
"""
