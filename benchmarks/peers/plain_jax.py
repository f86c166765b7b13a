# mypy: ignore-errors
"""The seed experiment's two recipes as a user would write them in JAX with Flax and Optax.

The MLP's epoch is one `lax.scan`; the CNN's is a loop over a compiled step, as XLA's convolutions
are many times slower inside a scan.
"""

import jax
import numpy as np
import optax
from flax import linen as nn
from jax import numpy as jnp
from rows import BATCH, Watch, arguments, load

VALIDATION_BATCH = 1000
GLOROT = {"kernel_init": nn.initializers.glorot_uniform()}


class Mlp(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array, *, training: bool) -> jax.Array:
        x = images.reshape(len(images), -1)
        for units, rate in ((512, 0.4), (256, 0.3), (64, 0.2)):
            x = nn.relu(nn.Dense(units, **GLOROT)(x))
            x = nn.Dropout(rate, deterministic=not training)(x)
        return nn.Dense(10, **GLOROT)(x)


class Cnn(nn.Module):
    @nn.compact
    def __call__(self, images: jax.Array, *, training: bool) -> jax.Array:
        x = images[..., None]
        for filters in (32, 64):
            x = nn.relu(nn.Conv(filters, (3, 3), padding="VALID", **GLOROT)(x))
        x = nn.Dropout(0.25, deterministic=not training)(nn.max_pool(x, (2, 2), (2, 2)))
        x = nn.relu(nn.Dense(128, **GLOROT)(x.reshape(len(x), -1)))
        return nn.Dense(10, **GLOROT)(nn.Dropout(0.5, deterministic=not training)(x))


def main() -> None:
    args = arguments()
    train, validation, test = (
        tuple(map(jnp.asarray, load(args.splits, part))) for part in ("train", "validation", "test")
    )
    model = {"mlp": Mlp, "cnn": Cnn}[args.model]()
    optimizer = {
        "mlp": optax.rmsprop(0.001, decay=0.9, eps=1e-7, eps_in_sqrt=True),
        "cnn": optax.adadelta(1.0, rho=0.95, eps=1e-7),
    }[args.model]

    def loss(weights, images, labels, key):
        logits = model.apply(weights, images, training=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def step(state, rows, images, labels):
        weights, moments, key = state
        key, of_step = jax.random.split(key)
        gradients = jax.grad(loss)(weights, images[rows], labels[rows], of_step)
        updates, moments = optimizer.update(gradients, moments, weights)
        return optax.apply_updates(weights, updates), moments, key

    def scan(state, order, images, labels):
        return jax.lax.scan(lambda s, rows: (step(s, rows, images, labels), None), state, order)[0]

    scan = jax.jit(scan, donate_argnums=0)
    step = jax.jit(step, donate_argnums=0)
    predict = jax.jit(lambda weights, images: model.apply(weights, images, training=False))

    def accuracy(weights, images, labels) -> float:
        parts = [images[n : n + VALIDATION_BATCH] for n in range(0, len(images), VALIDATION_BATCH)]
        logits = jnp.concatenate([predict(weights, part) for part in parts])
        return float((logits.argmax(1) == labels).mean())

    shuffle = np.random.default_rng(args.seed)
    key = jax.random.key(args.seed)
    watch = Watch()
    weights = jax.jit(model.init, static_argnames="training")(key, train[0][:1], training=False)
    state = (weights, optimizer.init(weights), key)
    for _ in range(args.epochs):
        order = shuffle.permutation(len(train[0])).astype("int32")
        order = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
        if args.model == "mlp":
            state = scan(state, order, *train)
        else:
            for rows in order:
                state = step(state, rows, *train)
        watch.epoch(accuracy(state[0], *validation))
    watch.print(accuracy(state[0], *test))


if __name__ == "__main__":
    main()
