"""The measurements as a page of Markdown tables."""

from math import log
from typing import Any

from benchmarks.markdown import table as _table
from benchmarks.peers import measure as peers

SERVERS = {
    "keras": "`mlflow models serve`, Keras flavour",
    "onnx": "`mlflow models serve`, ONNX flavour",
    "package": "the package",
}


def page(result: dict[str, Any]) -> str:
    """docs/benchmarks.md: one section per measured part, under the machine it was measured on."""
    sections = {
        "trainings": _trainings,
        "peers": peers.section,
        "peers-cnn": peers.section,
        "seconds": _seconds,
        "step": _step,
        "pipeline": _pipeline,
        "flow": _flow,
        "inference": _inference,
        "commands": _commands,
        "scoring": _scoring,
        "serve": _serve,
        "soak": _soak,
        "disk": _disk,
        "answers": _answers,
        "drift": _drift,
        "expected": _expected,
        "images": _images,
        "growth": _growth,
        "stopping": _stopping,
        "uneven": _uneven,
        "scale": _scale,
        "suspects": _suspects,
    }
    texts = ["# Benchmarks"]
    machine: dict[str, Any] = {}
    for part, write in sections.items():
        if part not in result:
            continue
        if result[part]["machine"] != machine:
            machine = result[part]["machine"]
            texts.append(f"`make bench` measured this on: {_listed(machine)}.")
        texts.append(write(result[part]["figures"]))
    return "\n\n".join(texts) + "\n"


def _listed(machine: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def _trainings(part: dict[str, Any]) -> str:
    rows = part["models"]
    cnn = rows.get("cnn", {}).get("fit_s")
    goals = list(next(iter(rows.values()))["seconds_to"])
    head = ["model", "seeds", "fit s", "of the cnn's", "beyond fit s", "test accuracy % mean"]
    head += ["min", "sd", *(f"s to {float(goal):.2%}" for goal in goals), "of matrix rate"]
    body = [
        [
            name,
            str(row["seeds"]),
            f"{row['fit_s']:.1f}",
            f"1/{cnn / row['fit_s']:.1f}" if cnn else "",
            f"{row['beyond_fit_s']:.1f}",
            f"{row['accuracy_mean']:.2%}".rstrip("%"),
            f"{row['accuracy_min']:.2%}".rstrip("%"),
            "" if row["accuracy_sd"] is None else f"{100 * row['accuracy_sd']:.2f}",
            *(_reached(row["seconds_to"][goal], row["seeds"]) for goal in goals),
            _or_blank(row.get("matrix_rate_share"), "{:.0%}"),
        ]
        for name, row in rows.items()
    ]
    return f"""## Trainings

48,000 images, tracked in MLflow; the models take turns; medians over the seeds. *(plain)* is
`benchmarks/peers/plain_keras.py`, the same recipe as a plain Keras script. *s to …* are the seconds
of the fit until the end of the first epoch whose validation accuracy reaches that of the seed
experiment's MLP and CNN; in brackets how many seeds reached it, if not all did.
*Beyond fit* is the rest of the command: imports, data, logging. *Of matrix rate* is the rate of
float operations of the fit (three forward passes per image), as a share of the
{part["matrix_product_per_s"] / 1e9:.0f} GFLOP/s
of a float32 matrix product on this machine; mixed precision may exceed it.

{_table(head, body)}"""


def _seconds(part: dict[str, Any]) -> str:
    names = list(next(iter(part.values())))
    body = [[model, *(f"{row[name]:.2f}" for name in names)] for model, row in part.items()]
    return f"## Where the seconds of a training go\n\n{_table(['model', *names], body)}"


def _step(part: dict[str, Any]) -> str:
    large, layer, operations = (part[key] for key in ("large_per_s", "layer_per_s", "operations"))
    body = [
        [name, f"{seconds:.2f}", f"{operations / seconds / large:.0%}"]
        for name, seconds in part["epoch_s"].items()
    ]
    return f"""## Where the time of the MLP's steps goes

The float operations of an epoch as a share of the {large / 1e9:.0f} GFLOP/s of a large matrix
product. What is left without dropout and RMSprop (with plain SGD) are products of 128 rows: that of
the first layer alone runs at {layer / large:.0%} of the rate of the large one. The gradient of the
first layer's input counts, and is not computed.

{_table(["without", "s per epoch", "of the large product's rate"], body)}"""


def _pipeline(part: dict[str, Any]) -> str:
    head = ["models", "`dvc repro -f` s", "its fits s", "beyond s", "unchanged `dvc repro` s"]
    values = [part[name] for name in ("wall_s", "fits_s", "beyond_fits_s", "unchanged_s")]
    row = [", ".join(part["models"]), *(f"{value:.1f}" for value in values)]
    return f"## The whole pipeline\n\n{_table(head, [row])}"


def _flow(part: dict[str, Any]) -> str:
    head = ["", "`dvc repro` s", "flow s", "flow run alone s", "flow / dvc"]
    body = [
        [
            text,
            *(f"{part[f'{what}_{name}_s']:.1f}" for name in ("dvc", "flow", "flow_run")),
            f"{part[f'{what}_flow_s'] / part[f'{what}_dvc_s']:.2f}",
        ]
        for what, text in (("force", "everything forced"), ("unchanged", "nothing to do"))
    ]
    return f"""## The pipeline as a Prefect flow

{part["percent"]} % of the data, one epoch; medians. *flow* is the whole command, while a server
runs; what it takes beyond the flow run is Prefect's import.

{_table(head, body)}"""


def _inference(part: dict[str, Any]) -> str:
    sizes = list(next(iter(part.values())))
    head = ["`compact` asked by"]
    head += [
        f"{size} at once: {what}" for size in sizes for what in ("p50 ms", "p95 ms", "images/s")
    ]
    body = [
        [name]
        + [
            text
            for size in sizes
            for text in (
                f"{row[size]['p50_ms']:.1f}",
                f"{row[size]['p95_ms']:.1f}",
                f"{row[size]['images_per_s']:,.0f}",
            )
        ]
        for name, row in part.items()
    ]
    return f"""## Inference

One caller, who asks for one image or 1,000 at once, and then again.

{_table(head, body)}"""


def _commands(part: dict[str, Any]) -> str:
    model = part["model"]
    commands = {"evaluate": f"evaluate `{model}`", "predict": "`digits predict`, one picture"}
    body = [
        [words, f"{part[name]['wall_s']:.1f}", f"{part[name]['peak_mb']:,.0f}"]
        for name, words in commands.items()
    ]
    return f"""## Commands that ask a model

Whole commands with `{model}`, imports and MLflow included; medians of five. Evaluating predicts
the test and hold-out rows, and the test rows under seven perturbations.

{_table(["command", "s", "peak memory MB"], body)}"""


def _scoring(part: dict[str, Any]) -> str:
    head = ["rows", "s in all", "rows/s", "peak memory MB"]
    body = [
        [
            f"{int(count):,}",
            f"{row['wall_s']:.1f}",
            f"{row['rows_per_s']:,.0f}",
            f"{row['peak_mb']:,.0f}",
        ]
        for count, row in part["score"].items()
    ]
    return f"""## Scoring

`digits score` with `{part["model"]}` on the test images, repeated in an npz file. *rows/s* is
reading, predicting and writing alone.

{_table(head, body)}"""


def _serve(part: dict[str, Any]) -> str:
    slowest = part["servers"]["keras"]["requests_per_s"]
    head = ["server", "requests", "errors", "requests/s", "of Keras'", "p50 ms", "p95 ms"]
    head += ["start s", "memory MB"]
    body = [
        [
            SERVERS[name],
            *_load(row),
            f"{row['requests_per_s'] / slowest:.1f}×",
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['start_s']:.1f}",
            f"{row['memory_mb']:,.0f}",
        ]
        for name, row in part["servers"].items()
    ]
    by_clients = [
        [clients, *_load(row), *(f"{row[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms"))]
        for clients, row in part["package"].items()
    ]
    more = ["clients", "requests", "errors", "requests/s", "p50 ms", "p95 ms", "p99 ms"]
    return f"""## Serving

`{part["model"]}`, one image a request, {part["clients"]} clients, each with a connection that
stays open. The servers run at once and are asked in turns by `benchmarks/client.py`, a process of
its own, which also checks the class of each answer. *Memory* is that of all the server's processes.

{_table(head, body)}

The package's server by number of clients: requests that wait are answered together.

{_table(more, by_clients)}"""


def _load(row: dict[str, Any]) -> list[str]:
    """Requests, errors and requests per second."""
    errors = sum(row["errors"].values())
    return [f"{row['requests']:,}", str(errors), f"{row['requests_per_s']:,.0f}"]


def _soak(part: dict[str, Any]) -> str:
    head = ["asked", "requests/s", "requests", "errors", "p50 ms", "p95 ms", "p99 ms"]
    head += ["seconds with answers over 100 ms", "processor taken by the host"]
    body = [
        [
            name,
            f"{load['requests_per_s']:,.0f}",
            *_load(load)[:2],
            *(f"{load[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms")),
            f"{', '.join(map(str, load['slow_seconds']))} of {load['seconds']} each",
            ", ".join(f"{share:.1%}" for share in load["stolen"]),
        ]
        for name, load in part["loads"].items()
    ]
    memory = part["memory_mb"]
    drains = part["drains"]
    in_time, later = (
        sum(d[f"{name}_after_signal"] for d in drains) for name in ("answered", "closed")
    )
    lost = sum(sum(drain["errors"].values()) for drain in drains)
    return f"""## The package's server under load

{part["clients"]} clients; a latency counts from the moment at which a request is due, so that
waiting for a free client is part of it. Loads in turns of a minute: at shares of its capacity of
{part["capacity_per_s"]:,.0f} requests/s; and, at the rate of 80 %, a server that answers a
constant.

{_table(head, body)}

Its memory: {memory["start"]:,.1f} MB at start, {memory["end"]:,.1f} at the end, at most
{memory["max"]:,.1f}.

SIGTERM while {part["clients"]} clients ask, {len(drains)} times: of the requests sent before it,
{in_time} were still to be answered and were, {lost} were lost; {later} requests sent after it found
the connection closed."""


def _disk(part: dict[str, Any]) -> str:
    body = [
        [SERVERS[name], str(row["packages"]), f"{row['mb']:,.0f}"] for name, row in part.items()
    ]
    return f"""## What serving needs on disk

A fresh environment with the requirements of each, without compiled bytecode.

{_table(["server", "packages", "MB"], body)}"""


def _answers(part: dict[str, Any]) -> str:
    models = part["models"]
    ways = list(next(iter(models.values())))
    body = [
        [
            way,
            *(
                f"{model[way]['other_classes']} · {model[way]['largest_difference']:.1g}"
                for model in models.values()
            ),
        ]
        for way in ways
    ]
    return f"""## The same answers everywhere

{part["rows"]:,} images (test and hold-out), asked in each way, against ONNX Runtime in process:
how many answers name another class, and the largest difference of a probability.

{_table(["asked by", *models], body)}"""


def _drift(part: dict[str, Any]) -> str:
    head = ["% of the draws", *part]
    kinds = list(next(iter(part.values())))
    body = [[kind, *(f"{100 * row[kind]:.1f}" for row in part.values())] for kind in kinds]
    return f"""## Drift

How often the model's features are called drifted, in draws of 500 images: 1,000 of clean ones, 100
of each other kind. The letters are A to Z of many fonts, brought into MNIST's form.

{_table(head, body)}"""


def _expected(part: dict[str, Any]) -> str:
    def off(rows: list[dict[str, float]], name: str) -> float:
        return sum(abs(row[name] - row["true"]) for row in rows) / len(rows)

    ways = {"value": "expected", "confidence": "mean confidence", "others": "other kinds known"}
    rows_of = {
        model: {**kinds, "all": [row for rows in kinds.values() for row in rows]}
        for model, kinds in part.items()
    }
    head = ["points off, in the mean", *next(iter(rows_of.values()))]
    errors = [
        [f"{model}, {words}", *(f"{100 * off(rows, name):.1f}" for rows in kinds.values())]
        for model, kinds in rows_of.items()
        for name, words in ways.items()
    ]
    every = [row for kinds in rows_of.values() for row in kinds["all"]]
    inside = sum(row["lower"] <= row["true"] <= row["upper"] for row in every)
    settings = next(iter(part.values()))
    body = [
        [
            f"{kind} {row['level']:g}",
            *(
                f"{100 * r['true']:.1f} · {100 * r['value']:.1f} ({100 * r['lower']:.0f} to "
                f"{100 * r['upper']:.0f})"
                for r in (kinds[kind][number] for kinds in part.values())
            ),
        ]
        for kind, rows in settings.items()
        for number, row in enumerate(rows)
    ]
    return f"""## Accuracy without labels

What `digits monitor` expects of 2,000 disturbed test images, against the true accuracy: how many
points it is off, beside the model's mean confidence, and beside what it expects if images disturbed
in this way are unknown to it. {inside} of {len(every)} intervals hold the truth.

{_table(head, errors)}

True and expected accuracy in %, with its interval; noise and blur are shares of the brightest
value and of the size, rotation is in degrees either way.

{_table(["", *part], body)}"""


def _images(part: dict[str, Any]) -> str:
    body = [
        [name, f"{row['count']:,}", f"{row['wall_s']:.1f}", f"{row['count'] / row['wall_s']:,.0f}"]
        for name, row in part.items()
    ]
    return f"""## Images

`pack` of colour pictures in folders, half PNG, half JPEG, as a whole command:

{_table(["size", "files", "s", "files/s"], body)}"""


def _growth(part: dict[str, Any]) -> str:
    grown = {tuple(map(int, name.split())): costs for name, costs in part.items()}
    by_images = {images: costs for (images, classes), costs in grown.items() if classes == 10}
    by_classes = {classes: costs for (images, classes), costs in grown.items() if images == 60_000}
    return f"""## Cost against images and classes

Processor seconds of each stage, and its peak memory without mapped files: an npz of images 32×32
in colour, of 10 classes; one epoch of `compact`. Above 128 MB the training reads each batch from
the file.

{_grown(by_images, "images")}

The same of 60,000 images, by the number of classes:

{_grown(by_classes, "classes")}"""


def _grown(part: dict[int, Any], what: str) -> str:
    body, counts = [], [*part]
    for stage in part[counts[0]]:
        costs = [part[count][stage] for count in counts]
        texts = [f"{cost['cpu_s']:.1f} s, {cost['own_mb']:.0f} MB" for cost in costs]
        last = log(costs[-1]["cpu_s"] / costs[-2]["cpu_s"]) / log(counts[-1] / counts[-2])
        body.append([stage, *texts, f"{last:.2f}"])
    head = ["stage", *(f"{count:,} {what}" for count in counts), "exponent of the last step"]
    return _table(head, body)


def _stopping(part: dict[str, Any]) -> str:
    body = [
        [
            rule,
            str(row["seeds"]),
            ", ".join(map(str, row["epochs"])),
            f"{row['fit_s']:.1f}",
            f"{row['user_s']:.1f}",
            f"{row['accuracy_mean']:.2%}",
        ]
        for rule, row in part.items()
    ]
    head = ["cnn", "seeds", "epochs", "fit s, median", "user s, median", "test accuracy, mean"]
    return f"## Early stopping\n\n{_table(head, body)}"


def _uneven(part: dict[str, Any]) -> str:
    figures = ("accuracy", "balanced_accuracy", "macro_f1", "weakest_class")
    body = [
        [model, name, *(f"{row[figure]:.2%}" for figure in figures)]
        for model, of in part.items()
        for name, row in of.items()
    ]
    head = ["model", "recipe", "test accuracy", "balanced", "macro-F1", "weakest class"]
    return f"""## Uneven classes

Class 0 keeps all training rows, class 9 one per cent, the others shares between; means of 3 seeds.

{_table(head, body)}"""


def _scale(part: dict[str, Any]) -> str:
    columns = {
        f"{store}, {int(count):,} runs: s": seconds
        for store, counts in part.items()
        for count, seconds in counts.items()
    }
    names = next(iter(columns.values()))
    body = [[name, *(f"{each[name]:.1f}" for each in columns.values())] for name in names]
    return f"## Cost against the number of runs\n\n{_table(['command', *columns], body)}"


def _suspects(part: dict[str, Any]) -> str:
    count = part["flipped"]
    return f"""## Wrong labels

The labels of {count} of the 48,000 training images are flipped, each to any other class.
`digits suspects` lists {part["listed"]:,} of all 70,000 labels. {part["precision"]:.1%} of the
first {count} are flipped ones; {part["recall"]:.1%} of the flipped ones are listed. It takes
{part["wall_s"]:.0f} s, and {part["cpu_s"]:.0f} s of the processors."""


def _reached(goal: dict[str, Any], seeds: int) -> str:
    if goal["reached"] == 0:
        return "–"
    often = "" if goal["reached"] == seeds else f" ({goal['reached']} of {seeds})"
    return f"{goal['median_s']:.1f}{often}"


def _or_blank(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
