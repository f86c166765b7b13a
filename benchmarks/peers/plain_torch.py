# mypy: ignore-errors
"""The seed experiment's two recipes as a user would write them in PyTorch, for speed.

All rows are in memory, channels last; the CPU's vector library draws the dropout.
"""

import torch
from rows import BATCH, Watch, arguments, load
from torch import nn
from torch.nn.functional import cross_entropy

VALIDATION_BATCH = 1000


def mlp() -> nn.Module:
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.4)),
        *(nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.3)),
        *(nn.Linear(256, 64), nn.ReLU(), nn.Dropout(0.2)),
        nn.Linear(64, 10),
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 28)), nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3)),
        *(nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten()),
        *(nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    ).to(memory_format=torch.channels_last)


def initialize(layer: nn.Module) -> None:
    """As Keras does by default."""
    if isinstance(layer, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)


def main() -> None:
    args = arguments()
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    train, validation, test = (
        tuple(map(torch.from_numpy, load(args.splits, part)))
        for part in ("train", "validation", "test")
    )
    model = {"mlp": mlp, "cnn": cnn}[args.model]()
    model.apply(initialize)
    # Keras adds its epsilon of 1e-7 below the square root of RMSprop's mean, PyTorch behind it
    optimizer = {
        "mlp": lambda: torch.optim.RMSprop(model.parameters(), 0.001, alpha=0.9, eps=1e-7**0.5),
        "cnn": lambda: torch.optim.Adadelta(model.parameters(), 1.0, rho=0.95, eps=1e-7),
    }[args.model]()

    def logits(images: torch.Tensor) -> torch.Tensor:
        enabled = args.precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            return model(images)

    update = optimizer.step
    watch = Watch()
    if args.compile:
        # compiled it draws its numbers one by one, which costs more than the compiler gains
        nn.Dropout.forward = torch.compiler.disable(nn.Dropout.forward)
        logits = torch.compile(logits)
        update = torch.compile(update)

    @torch.inference_mode()
    def accuracy(images: torch.Tensor, labels: torch.Tensor) -> float:
        model.eval()
        predictions = torch.cat([logits(some).argmax(1) for some in images.split(VALIDATION_BATCH)])
        model.train()
        return (predictions == labels).float().mean().item()

    images, labels = train
    for _ in range(args.epochs):
        for rows in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(logits(images[rows]).float(), labels[rows]).backward()
            update()
        watch.epoch(accuracy(*validation))
    watch.print(accuracy(*test))


if __name__ == "__main__":
    main()
