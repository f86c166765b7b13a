"""A registered model at work.

`pictures` image files as a model's input · `inputs` folders, CSV, npz and Parquet in batches ·
`storage` files here or in an object store · `predict` single pictures · `predictions` a Parquet
file for each input · `score` all of them summed up · `drift` how new images differ from known ones
· `monitor` a model at work, `logged` what its service logged · `demo` a page to draw on.
"""
