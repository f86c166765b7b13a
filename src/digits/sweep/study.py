"""The Optuna study of a sweep: made, taken up again, and rid of trials that nobody runs."""

import warnings
from pathlib import Path

import optuna
from optuna.distributions import check_distribution_compatibility

from digits.core.errors import ServiceError, UsageError
from digits.core.process import has_ended
from digits.sweep.space import Space, distributions
from digits.tracking import database

STORAGE = Path(".state/sweeps.db")
PROCESS = "process"
_MODEL = "model"

# Of the first trials none is pruned, and no trial after its first epoch.
STARTUP_TRIALS = 5
WARMUP_EPOCHS = 1


def open_study(
    name: str, *, model: str, space: Space, seed: int, storage: str | None = None
) -> optuna.Study:
    """The study of this name, made where there is none.

    Args:
        name: Of the study in its storage.
        model: The model whose params it searches.
        space: What it varies from now on.
        seed: Of Optuna's proposals.
        storage: A database URL; default: SQLite in the project's folder.

    Raises:
        ServiceError: the storage does not answer.
        UsageError: the study is another model's, or Optuna cannot continue it in this space.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if storage is None:
        STORAGE.parent.mkdir(parents=True, exist_ok=True)
        storage = f"sqlite:///{STORAGE.resolve()}"
    if reason := database.no_answer(storage):
        raise ServiceError(f"Optuna storage of {name}: {reason}")
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, WARMUP_EPOCHS),
        )
        study.sampler = _sampler(seed + len(study.trials))
        _fail_abandoned(study)
    except Exception as error:  # each database has its own
        reason = database.reason(error, storage)
        raise ServiceError(f"Optuna storage of {name}: {reason}") from None
    _check_continues(study, model, space)
    study.set_user_attr(_MODEL, model)
    return study


def _check_continues(study: optuna.Study, model: str, space: Space) -> None:
    known = study.user_attrs.get(_MODEL, model)
    if known != model:
        raise UsageError(f"study: {study.study_name!r} is of {known}, not of {model}")
    wanted = distributions(space)
    for trial in study.get_trials(deepcopy=False):
        for key in trial.distributions.keys() & wanted.keys():
            try:
                check_distribution_compatibility(trial.distributions[key], wanted[key])
            except ValueError:
                raise UsageError(
                    f"study: {study.study_name!r} has other choices for {key} than the space;"
                    " another name starts a new study"
                ) from None


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        # several trials run at once, and should not all be sent to the same place
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _fail_abandoned(study: optuna.Study) -> None:
    """End the trials of sweeps on this machine whose process is gone."""
    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
        if has_ended(trial.user_attrs.get(PROCESS, "")):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
