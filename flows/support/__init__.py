"""What the flows share; nothing here imports a flow.

lifecycle          how a flow run starts and ends
commands           `dvc` and `digits` as subprocesses
workspaces         a copy of the project for a run with overrides
elsewhere          stages on workers of Dask or of a work pool
prefect_artifacts  progress, table and links in Prefect
server             Prefect's server
"""
