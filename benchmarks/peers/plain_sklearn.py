# mypy: ignore-errors
"""The MLP in scikit-learn, which has no dropout and no RMSprop: Adam instead."""

from rows import BATCH, Watch, arguments, load
from sklearn.neural_network import MLPClassifier


def main() -> None:
    args = arguments()
    train, validation, test = (
        (images.reshape(len(images), -1), labels)
        for images, labels in (load(args.splits, part) for part in ("train", "validation", "test"))
    )
    model = MLPClassifier(
        (512, 256, 64), alpha=0, batch_size=BATCH, epsilon=1e-7, random_state=args.seed
    )
    watch = Watch()
    for _ in range(args.epochs):
        model.partial_fit(*train, classes=range(10))
        watch.epoch(model.score(*validation))
    watch.print(model.score(*test))


if __name__ == "__main__":
    main()
