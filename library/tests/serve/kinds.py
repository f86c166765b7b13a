"""Checks manifests by the schemas of their kinds, in an environment that has them.

`python kinds.py <MANIFESTS`: a JSON list of manifests. It prints a list of what is wrong with each,
in one text, which is empty for one that fits.
"""

import json
import sys

import kserve
import kubernetes_validate
from cloudcoil.models.prometheus_operator import v1 as monitoring


def finding(manifest):
    """Why it does not fit the schema of its kind."""
    kind = manifest["kind"]
    try:
        if kind == "InferenceService":  # with the pod of a Deployment, which is checked whole
            check_names(manifest["spec"], kserve.V1beta1InferenceServiceSpec)
            check_names(manifest["spec"]["predictor"], kserve.V1beta1PredictorSpec)
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


def check_names(fields, model):
    names = {*model.attribute_map.values()}
    assert fields.keys() <= names, f"only this is known: {names}"


json.dump([*map(finding, json.load(sys.stdin))], sys.stdout)
