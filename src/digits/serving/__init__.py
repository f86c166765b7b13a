"""The server of a package, and how a package is made.

All but `package` run where only a package is installed: no MLflow, Prefect, DVC or TensorFlow.
"""
