"""What every such project needs; it imports nothing of the project, which gives it values.

`project.Project` says what these are: blocks of params.yaml.
"""
