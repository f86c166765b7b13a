"""A registered model at work.

`pictures` image files as a model's input · `inputs` folders, CSV and npz in batches · `predict`
single pictures · `score` whole inputs · `drift` how new images differ from known ones · `monitor` a
model at work, `logged` what its service logged, `labels` what was true · `demo` a page to draw on,
and the servers.
"""
