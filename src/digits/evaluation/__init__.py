"""Judgements in numbers; no module here loads a model or knows MLflow.

- `scores`: accuracy, loss and calibration of predicted probabilities; confusion matrix, mistakes
- `temperature`: the temperature at which predicted probabilities are honest
- `confidence`: answer sets that hold the true class as often as asked
- `caret`: statistics of a confusion matrix, as in R's caret
- `confusion_csv`: confusion matrices as CSV files
- `behaviour`: accuracy on perturbed images, and how fast a model answers
- `leaderboard`: the table of models side by side
- `comparison`: two models on the same rows, and a verdict in words
- `difference`: one model's results at two revisions
- `seeds`: the spread over runs that differ only in the seed
- `drift`: whether new images and answers still look like those of training
- `gate`, `gate_checks`: whether a challenger may become champion
"""
