"""Each model by name: its size, what it takes and gives, and what its params block may hold."""

import numpy as np
import pytest
from support import PARAMS

from digits.models import available, model_file
from imageproof.base._inference import not_probabilities

# On 28×28 images; those of mlp and cnn are the seed experiment's.
SIZES = {"mlp": 550_346, "cnn": 1_199_882, "compact": 64_922, "finetune": 944_890}


def build(name, shape=(28, 28), classes=10):
    block = PARAMS["train"][name]["build"]
    block = block | {"weights": None} if "weights" in block else block  # no network here
    params = model_file(name).BuildParams(**block)
    return model_file(name).build(params, image_shape=shape, classes=classes)


def test_every_model_has_a_block_in_params_yaml():
    assert sorted(set(PARAMS["train"]) - {"threads", "distribute"}) == available()


@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(("shape", "classes"), [((28, 28), 10), ((9, 12, 3), 3)])
def test_it_gives_probabilities(name, shape, classes):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.uint8)
    model = build(name, shape, classes)
    assert (model.input_shape, model.inputs[0].dtype) == ((None, *shape), "uint8")
    assert classes != 10 or model.count_params() == SIZES[name]
    probabilities = np.asarray(model(images))
    assert (probabilities.shape, probabilities.dtype) == ((5, classes), "float32")
    assert not_probabilities(probabilities) is None
    scaling = next(layer for layer in model.layers if type(layer).__name__ == "Rescaling")
    np.testing.assert_allclose(np.asarray(scaling(images)), images / 255, atol=1e-6)


@pytest.mark.usefixtures("tensorflow")
def test_compact_averages_pixels_of_large_images():
    large = build("compact", (224, 200, 3))
    assert large.count_params() == build("compact", (56, 50, 3)).count_params()
    [pooling] = [layer for layer in large.layers if type(layer).__name__ == "AveragePooling2D"]
    assert pooling.output.shape == (None, 56, 50, 3)
