"""What MLflow's pages say of experiments and the registered model: what, how made, what next.

A description is written where there is none: what a person writes in its place stays.
"""

NOTE = "mlflow.note.content"  # tag of an experiment or a run that MLflow shows as its description

TRAININGS = """\
Each run is one training of an image classifier, by `dvc repro`, `digits run` or the flow `train`; \
solid curves are of validation, dashed ones of training. What the names mean:

- `accuracy`, `loss`: after each epoch, on the training rows; `val_…` on the validation rows
- `test_…`, `holdout_…`: of the finished model, on rows that no training has seen
- `behaviour_…`: its accuracy on test images that are moved, turned, blurred, …
- `elapsed_s`: seconds of training; `user_s` and `system_s` add up over all cores

A run with the tag `restored_from` was trained elsewhere, and logged again from DVC's files. \
`digits promote MODEL` puts the last training of a model to the gate."""

PARTS = {  # by the end of the experiment's name, see `ProjectParams.part`
    "comparisons": "Each run is one comparison of all models, by the stage `report` of `dvc repro`:"
    " its artifact `index.html` is the page with all results.",
    "monitoring": "Each run is one `digits monitor`, or the flow `monitor`: whether what the"
    " service was asked still looks like the training data, and how sure its answers are.",
    "scoring": "Each run is one `digits score`, or the flow `score`: how many rows, how fast, and"
    " how far they are from the training data (`drift_…`).",
    "sweeps": "Each run is one search for better params, by the flow `sweep`, and its child runs"
    " are its trials. The artifact `best.txt` says what was best.",
}
REGISTERED_MODEL = """\
The image classifiers of the project. Each version is a training that `digits promote` put \
to the gate; its description is its model card.

- `champion` is the version that answers: `digits predict`, `digits score`, `digits serve`
- `challenger` is the version that the gate judged last, if it is not the champion
- `digits history` says who replaced whom and why, `digits rollback` takes the last champion back
- the tags `champion.…` hold that history"""
