"""The seed experiment's two recipes as a user would write them in a plain Keras script.

`python benchmarks/plain_keras.py SPLITS mlp|cnn` prints what it took as JSON; SPLITS is the
folder with train.npz, validation.npz and test.npz.
"""

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

EPOCHS = {"mlp": 30, "cnn": 12}


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


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(folder / f"{name}.npz") as arrays:
        return arrays["images"].astype("float32") / 255, arrays["labels"]


def main(folder: Path, name: str) -> None:
    train, validation, test = (load(folder, part) for part in ("train", "validation", "test"))
    model = {"mlp": mlp, "cnn": cnn}[name]()
    start = time.perf_counter()
    model.fit(*train, batch_size=128, epochs=EPOCHS[name], validation_data=validation, verbose=0)
    fit_s = time.perf_counter() - start
    _, accuracy = model.evaluate(*test, verbose=0)
    result = {"fit_s": fit_s, "epoch_s": fit_s / EPOCHS[name], "accuracy": accuracy}
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
