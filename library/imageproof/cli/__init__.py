"""The command line of a project."""
