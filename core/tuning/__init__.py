"""From measured cells to a plan: predicting what plans cost, solving for a goal, refining by what was measured.

Front doors: `predictor.make_predictor`, `goal.solve`, `minimum.find_minimum`, `anchors.anchor_plans`,
`refined_plan`, `request`.
It never knows a model, and never imports torch: whoever calls it measures.
"""
