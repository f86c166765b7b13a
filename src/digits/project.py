"""What the toolkit is told of this project."""

from digits import params
from digits.params import Params
from imageproof.artifacts import LAYOUT, class_names
from imageproof.project import Project

LOGGED_AS = {  # params of a run, by key in params.yaml
    **{"seed": "seed", "classes": "data.classes"},
    **{f"image.{key}": f"data.image.{key}" for key in ("size", "channels", "fit")},
    **{"threads": "train.threads", "distribute": "train.distribute"},
}


def load_project() -> Project:
    """The project in the current folder; raises as `params.load`."""
    return as_project(params.load())


def as_project(params: Params) -> Project:
    names = class_names(params.data.classes, params.data.class_names)
    return Project(
        name=params.project.name,
        models=params.models,
        threads=params.train.threads,
        system_metrics=params.tracking.system_metrics,
        data=params.data.model_copy(update={"class_names": names}),
        confidence=params.confidence,
        promote=params.promote,
        drift=params.drift,
        usual=params.validation.usual,
        logged_as=LOGGED_AS,
        **vars(LAYOUT),
    )
