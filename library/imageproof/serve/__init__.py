"""The server of a package; `package` makes one. The server needs no MLflow, DVC or TensorFlow."""
