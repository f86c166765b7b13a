"""The server of a package, and how a package is made.

A room of its own, because its modules are copied into packages: but for `package`, `contents` and
`check` they import only what a package installs, and no room that needs the repository.

`model` what a package holds, verified and asked · `bodies` requests as images · `batches`
predictions of all requests that wait · `limits` how much may wait · `app` paths and answers ·
`answers` their JSON · `metrics` for Prometheus · `protocol` timeouts of slow clients · `journal`
the log in Parquet · `__main__` a package's command line · `contents` its files · `check` ask its
server before it is delivered · `package` all this for a registered version · `template` the files
that are the same in each
"""
