"""Asks a package's server by `tritonclient`, in an environment that has it.

`python triton.py PORT IMAGES.npy`: prints the tensors that it answers to these images, as lists by
name: sent and got as bytes, and as JSON.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton

OUTPUTS = ("probabilities", "predicted", "answers", "unsure")


def infer(client, images, *, binary):
    tensor = triton.InferInput("images", images.shape, triton.np_to_triton_dtype(images.dtype))
    tensor.set_data_from_numpy(images, binary_data=binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in OUTPUTS]
    outputs = None if binary else outputs  # all, as binary tensors
    result = client.infer(
        "imageproof", [tensor], model_version="7", outputs=outputs, request_id="a"
    )
    assert result.get_response()["id"] == "a"
    tensors = {name: result.as_numpy(name) for name in OUTPUTS}
    tensors["predicted"] = tensors["predicted"].astype(bytes).astype(str)
    return {name: tensor.ravel().tolist() for name, tensor in tensors.items()}


def main(port, path):
    images = np.load(path)
    with triton.InferenceServerClient(f"127.0.0.1:{port}", network_timeout=60) as client:
        assert client.is_model_ready("imageproof", "7")
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        tensor = {"name": "images", "datatype": "UINT8", "shape": [-1, *images.shape[1:]]}
        assert client.get_model_metadata("imageproof")["inputs"] == [tensor]
        json.dump([infer(client, images, binary=binary) for binary in (True, False)], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
