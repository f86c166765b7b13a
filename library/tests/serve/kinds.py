"""Checks manifests by the schemas of their kinds, in an environment that has them.

`python kinds.py <MANIFESTS`: a JSON list of manifests. It prints a list of what is wrong with each,
in one text, which is empty for one that fits.
"""

import json
import sys

import kserve.models
import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as monitoring
from kubernetes import client

TYPES = {"bool": bool, "int": int, "str": str}


def finding(manifest):
    """Why it does not fit the schema of its kind."""
    kind = manifest["kind"]
    try:
        if kind == "InferenceService":  # KServe's client takes pods from that of Kubernetes
            parsed(manifest, "V1beta1InferenceService")
        elif kind in ("PrometheusRule", "ServiceMonitor"):
            model = getattr(monitoring, kind).model_validate(manifest, strict=True)
            fields = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
            assert fields == manifest, f"only this is known: {fields}"
        else:
            version = kubernetes_validate.latest_version()
            kubernetes_validate.validate(manifest, version, strict=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def parsed(value, kind):
    """A value of a type such as `list[V1Container]`, by the client's models."""
    if kind.startswith("list["):
        assert isinstance(value, list), f"{value}: no list"
        return [parsed(part, kind[5:-1]) for part in value]
    if kind in TYPES:
        assert type(value) is TYPES[kind], f"{value!r}: no {kind}"
        return value
    if not hasattr(kserve.models, kind):
        return getattr(client, kind).model_validate(value)
    model = getattr(kserve.models, kind)
    names = {key: name for name, key in model.attribute_map.items()}
    parts = {names[key]: part for key, part in value.items()}
    return model(**{name: parsed(part, model.openapi_types[name]) for name, part in parts.items()})


json.dump([*map(finding, json.load(sys.stdin))], sys.stdout)
