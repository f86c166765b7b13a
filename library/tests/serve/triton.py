"""Asks a package's server by `tritonclient`, in an environment that has it.

`python triton.py PORT IMAGES.npy RESULT.json`; what `/predict` answers is compared by the test.
"""

import json
import pathlib
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton  # type: ignore[import-not-found]


def infer(client: Any, images: np.ndarray, *, binary: bool, name: str = "images") -> Any:
    tensor = triton.InferInput(name, images.shape, triton.np_to_triton_dtype(images.dtype))
    tensor.set_data_from_numpy(images, binary_data=binary)
    names = () if binary else ("probabilities", "predicted", "answers", "unsure")
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in names]
    return client.infer("imageproof", [tensor], model_version="7", outputs=outputs, request_id="a")


def columns(result: Any) -> dict[str, Any]:
    predicted = result.as_numpy("predicted").tolist()
    return {
        "id": result.get_response().get("id"),
        "probabilities": result.as_numpy("probabilities").tobytes().hex(),
        "predicted": [getattr(text, "decode", lambda text=text: text)() for text in predicted],
        "answers": result.as_numpy("answers").tolist(),
        "unsure": result.as_numpy("unsure").tolist(),
    }


def refused(client: Any, images: np.ndarray, **changes: Any) -> list[str]:
    try:
        infer(client, images, binary=True, **changes)
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    return []


def main(port: str, path: str, out: str) -> None:
    images = np.load(path)
    thousand = np.resize(images, (1000, *images.shape[1:]))
    with triton.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=60) as client:
        result = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": client.is_model_ready("imageproof", "7"),
            "other_ready": client.is_model_ready("../imageproof"),
            "server": client.get_server_metadata(),
            "model": client.get_model_metadata("imageproof"),
            "binary": columns(infer(client, images, binary=True)),
            "json": columns(infer(client, images, binary=False)),
            "one": columns(infer(client, images[:1], binary=True)),
            "thousand": columns(infer(client, thousand, binary=True)),
            "shape": refused(client, images[:, :4]),
            "type": refused(client, images.astype(np.float32)),
            "name": refused(client, images, name="../images"),
            "rows": refused(client, np.resize(images, (1001, *images.shape[1:]))),
        }
    with pathlib.Path(out).open("w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
