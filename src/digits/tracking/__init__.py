"""MLflow runs: store and database (where they are), runs, live (a training's run), evaluations,
restore, sweeps; view and descriptions (what MLflow's pages show).
"""
