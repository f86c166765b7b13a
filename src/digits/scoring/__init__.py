"""A registered model at work.

`pictures` image files as a model's input · `inputs` folders, CSV and npz in batches · `predict`
single pictures · `score` whole inputs · `demo` a page to draw on, and the servers.
"""
