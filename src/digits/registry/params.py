"""The model registry: who is champion, by which decision, and how to get back.

This module is light, since params.yaml is checked with it; the others import MLflow.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class RegistryParams(BaseModel):
    """`registry:` in params.yaml. `name` is that of the registered model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
