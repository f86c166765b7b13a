# mypy: ignore-errors
"""The seed experiment's two recipes as a user would write them in a plain Keras script."""

import keras
from keras import layers
from rows import BATCH, Watch, arguments, load


def mlp() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(0.001),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def cnn() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adadelta(1.0),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def main() -> None:
    args = arguments()
    train, validation, test = (load(args.splits, part) for part in ("train", "validation", "test"))
    keras.utils.set_random_seed(args.seed)
    model = {"mlp": mlp, "cnn": cnn}[args.model]()
    watch = Watch()
    each_epoch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _, logs: watch.epoch(logs["val_accuracy"])
    )
    how = {"batch_size": BATCH, "epochs": args.epochs, "callbacks": [each_epoch], "verbose": 0}
    model.fit(*train, validation_data=validation, **how)
    watch.print(model.evaluate(*test, verbose=0)[1])


if __name__ == "__main__":
    main()
