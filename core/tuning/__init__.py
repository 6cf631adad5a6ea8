"""From measured cells to a plan: predicting what plans cost, solving for a goal. No torch."""
