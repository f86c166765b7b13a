"""One file per flow, and the programs that a person starts.

train     the pipeline of dvc.yaml, one task per stage
stage     one stage of it on a worker
sweep     hyper-parameter search
promote   the gate, a person's approval, and a new champion
score     predictions of a registered model, and their drift
monitor   what a model at work saw, answered, and got right
retrain   train and promote when the data has changed
answer    answer a paused `promote`
up        `make up` and `make down`
team/     `make team` and `make team-down`: the servers of a team
notify    tell a webhook of flow runs that fail
support/  what the flows share
"""
