"""A registered model at work.

`pictures` image files as a model's input · `inputs` folders, CSV and npz in batches · `score`
predictions of pictures and of whole inputs · `demo` a page to draw on, and the servers.
"""
