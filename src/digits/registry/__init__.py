"""MLflow's registered model: which version is champion, why, and where it comes from.

artifacts (a model's files, verified), candidate (the training to promote), card (a version's model
card), evidence (what the gate judges by), history (moves of the champion's alias), promotion,
reproduce, served (a version that answers), trace (a version's origin), versions.
"""
