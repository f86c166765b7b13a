"""A registered model at work.

`pictures` image files as a model's input · `tables` npz and Parquet, also from their middle ·
`parquet` its limits · `inputs` folders, CSV and tables in batches · `storage` files here or in an
object store · `predict` single pictures · `score` whole inputs · `parts` one part of a large table
· `whole` all its parts, here or on a Dask cluster · `drift` how new images differ from known ones ·
`monitor` a model at work, `logged` what its service logged, `labels` what was true · `demo` a page
to draw on, and the servers.
"""
