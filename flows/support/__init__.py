"""What the flows share; nothing here imports a flow.

lifecycle          how a flow run starts and ends
stages             the stages of dvc.yaml as tasks
pools              stages in work pools, on other machines
commands           `dvc` and `digits` as subprocesses
workspaces         a copy of the project for a run with overrides
forms              what Prefect's pages show of a flow
prefect_artifacts  tables and links in Prefect
server             Prefect's server
"""
