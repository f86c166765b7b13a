"""What is said of a model's accuracy under disturbances of the images."""

from collections.abc import Mapping

COUNTS = "images", "effective_images"


def words(name: str) -> str:
    """Words for images under the disturbance of this name, such as `shift_0.07`, or `clean`."""
    key, _, amount = name.partition("_")
    shares = {
        "shift": "shifted by {:.4g} % of their size",
        "blur": "blurred over {:.4g} % of their size",
        "noise": "with {:.4g} % of noise",
    }
    if key in shares:
        return shares[key].format(100 * float(amount))
    others = {"clean": "as they are", "invert": "with inverted contrast"}
    return f"rotated by ±{amount}°" if key == "rotate" else others.get(key, name)


def accuracies(behaviour: Mapping[str, float]) -> dict[str, tuple[float, float, float]]:
    """The accuracy as it is and under each disturbance, with its exact 95 % interval.

    `behaviour` holds these accuracies 0…1 and the number of `images` on which each was measured;
    the interval is that of Clopper and Pearson (1934), with groups on `effective_images`.
    """
    from imageproof.judge.groups import clopper_pearson

    rows = behaviour.get("effective_images", behaviour["images"])
    return {k: (v, *clopper_pearson(v, rows)) for k, v in behaviour.items() if k not in COUNTS}
