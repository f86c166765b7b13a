"""What the flows share; nothing here imports a flow.

lifecycle          how a flow run starts and ends
commands           `dvc` and `digits` as subprocesses
workspaces         a copy of the project for a run with overrides
elsewhere          stages on workers without a shared folder
places             where they run: a Dask cluster, a work pool
home               results that reach the remotes of git and DVC
pull               the code of a run on a worker that has none
prefect_artifacts  progress, table and links in Prefect
server             Prefect's server
"""
