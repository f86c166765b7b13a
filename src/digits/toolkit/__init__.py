"""What every room may use; imports nothing else of digits.

Texts, files and processes: errors, addresses, files, process, commands, machine, guard, events.
The project: dataset, artifacts, repository (git), provenance (data.dvc, dvc.lock), revision (the
project at another commit), pipeline (the stages, as DVC knows them).
"""
