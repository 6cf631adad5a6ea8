"""The tuner: every target of a model in one list that predicts and solves in the browser while a slider moves."""
