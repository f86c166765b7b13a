"""What every such project needs; it imports nothing of the project, which gives it values.

`project` says what these are: `Layout` (where files lie) and `Project` (blocks of params.yaml).
"""
