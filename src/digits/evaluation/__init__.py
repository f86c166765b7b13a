"""Judgements in numbers; no module here loads a model or knows MLflow."""
