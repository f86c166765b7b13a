"""Asks a package's server by `tritonclient`, in an environment that has it.

`python triton.py PORT IMAGES.npy CLASSES <ANSWERS`: the answers of `/predict` to these images,
and the classes' names with commas. What is not as it must be is an AssertionError.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton

OUTPUTS = ("probabilities", "predicted", "answers", "unsure")


def infer(client, images, *, binary=True):
    tensor = triton.InferInput("images", images.shape, triton.np_to_triton_dtype(images.dtype))
    tensor.set_data_from_numpy(images, binary_data=binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]
    outputs = None if binary else outputs  # all, as binary tensors
    return client.infer("imageproof", [tensor], model_version="7", outputs=outputs, request_id="a")


def check(result, rows, names):
    """Compare the tensors of a result with the predictions of `/predict`."""
    assert result.get_response()["id"] == "a"
    probabilities = np.array([row["probabilities"] for row in rows], np.float32)
    assert result.as_numpy("probabilities").tobytes() == probabilities.tobytes()
    predicted = result.as_numpy("predicted").astype(bytes).astype(str)
    assert predicted.tolist() == [row["predicted"] for row in rows]
    sets = [[name in row["answers"] for name in names] for row in rows]
    assert result.as_numpy("answers").tolist() == sets
    assert result.as_numpy("unsure").tolist() == [row["unsure"] for row in rows]


def main(port, path, classes):
    images = np.load(path)
    rows = json.load(sys.stdin)
    names = classes.split(",")
    side = images.shape[1:]
    with triton.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=60) as client:
        assert client.is_model_ready("imageproof", "7")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        tensor = {"name": "images", "datatype": "UINT8", "shape": [-1, *side]}
        assert client.get_model_metadata("imageproof")["inputs"] == [tensor]

        check(infer(client, images), rows, names)
        check(infer(client, images, binary=False), rows, names)


if __name__ == "__main__":
    main(*sys.argv[1:])
