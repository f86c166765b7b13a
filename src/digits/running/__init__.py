"""`digits run`: the pipeline of dvc.yaml, with its progress and the time it still takes.

run        DVC runs the stages that changed, side by side where none disturbs another
repro      one stage with `dvc repro`
schedule   which stages may run beside which
durations  how long each takes, by the last run here or as measured on another machine
progress   how far they are: a table on a terminal, lines in a log
"""
