"""`make team`: the servers of a team on one machine, with the parts that a real one has.

settings       folder, ports, accounts and databases
secrets        passwords, certificate, and the variables by which everybody reaches the servers
programs       what runs: command, folder and variables of each server and worker
configuration  what nginx and supervisor read
prepare        cluster, databases, buckets and clones
health         whether a server answers
compose        the same as containers: compose.yaml
control        start, wait until all answer, stop
"""
