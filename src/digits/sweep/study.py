"""Create or resume a sweep's Optuna study, and fail its trials whose process died."""

from pathlib import Path

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.trial import TrialState

from digits.core.errors import ServiceError, UsageError
from digits.core.process import has_ended, this_process
from digits.sweep.space import Space
from digits.tracking import database

STORAGE = Path(".state/sweeps.db")
# Attributes that we keep with a trial or a study.
PROCESS = "process"
_MODEL = "model"

# Never pruned: the first trials of a study, and the first epoch of a trial.
STARTUP_TRIALS = 5
WARMUP_EPOCHS = 1


def open_study(
    name: str, *, model: str, space: Space, seed: int, storage: str | None = None
) -> optuna.Study:
    """Create the study of this name, or resume it.

    Args:
        name: Its name in the storage.
        model: The model whose params it searches.
        space: What varies from now on.
        seed: Optuna's proposals depend on it, and on the number of trials so far.
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
        # constant_liar: proposals that run at the same time differ
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(study.trials), constant_liar=True
        )
        _fail_abandoned(study)
    except Exception as error:  # each database has its own
        reason = database.reason(error, storage)
        raise ServiceError(f"Optuna storage of {name}: {reason}") from None
    _check_continues(study, model, space)
    study.set_user_attr(_MODEL, model)
    return study


def ask(study: optuna.Study, space: Space) -> optuna.Trial:
    """Ask the study for a trial, and note that this process runs it."""
    trial = study.ask(space)
    trial.set_user_attr(PROCESS, this_process())
    return trial


def _fail_abandoned(study: optuna.Study) -> None:
    # Optuna's own heartbeat is kept up by `study.optimize` only, not by ask and tell
    for trial in study.get_trials(states=[TrialState.RUNNING]):
        if has_ended(trial.user_attrs.get(PROCESS, "")):
            study.tell(trial.number, state=TrialState.FAIL)


def _check_continues(study: optuna.Study, model: str, space: Space) -> None:
    known = study.user_attrs.get(_MODEL, model)
    if known != model:
        raise UsageError(f"study: {study.study_name!r} is of {known}, not of {model}")
    for trial in study.get_trials(deepcopy=False):
        for key in trial.distributions.keys() & space.keys():
            try:
                check_distribution_compatibility(trial.distributions[key], space[key])
            except ValueError:
                raise UsageError(
                    f"study: {study.study_name!r} has other choices for {key} than the space;"
                    " another name starts a new study"
                ) from None
