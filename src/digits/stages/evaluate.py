"""`evaluate@<model>`: what the test and hold-out splits say about one trained model."""

import sys
from functools import partial

from digits import params, process
from digits.outputs import EVALUATED, EvaluateOutputs, TrainOutputs, read_split
from digits.params import Params


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and add it to the model's MLflow run."""
    checked = params.load()
    with process.quiet_tensorflow(checked.train.threads):
        from digits import saved_model
    from digits.evaluation import confusion_matrix, evaluate

    trained, outputs = TrainOutputs(model), EvaluateOutputs(model)
    network = saved_model.load(trained.model)
    splits = {name: read_split(name).data for name in EVALUATED}
    probabilities = {
        name: saved_model.predict(network, data.images) for name, data in splits.items()
    }
    outputs.write_predictions(probabilities)
    outputs.write_metrics(
        {n: evaluate(probabilities[n], data.labels) for n, data in splits.items()}
    )
    for name, data in splits.items():
        predicted = probabilities[name].argmax(axis=1)
        matrix = confusion_matrix(predicted, data.labels, classes=checked.data.classes)
        outputs.write_matrix(name, matrix, names=checked.data.names)
    publish(model, checked)


def publish(model: str, checked: Params) -> None:
    """Add the written evaluation to the model's MLflow run, which is logged again where unknown."""
    from digits import plots
    from digits.tracking import restore, runs

    trained, outputs = TrainOutputs(model), EvaluateOutputs(model)
    run_id, model_id = restore.known(trained) or restore.restore(trained)
    metrics = outputs.read_metrics()
    results = {}
    for name in EVALUATED:
        figure = plots.confusion_matrix(
            outputs.read_matrix(name), names=checked.data.names, title=f"{model}, {name}"
        )
        results[name] = runs.SplitResults(
            metrics=metrics[name],
            figure=figure,
            image=plots.to_array(figure),
            csv=outputs.matrix(name).read_text(encoding="utf-8"),
        )
    runs.log_evaluation(run_id, model_id, results)


if __name__ == "__main__":
    process.die_with_parent()
    process.run(partial(main, sys.argv[1]))
