"""The parts of the benchmarks, and the page of their figures."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks import (
    answers,
    commands,
    disk,
    drift,
    images,
    inference,
    labels,
    photos,
    pipeline,
    real_data,
    scale,
    serving,
    soak,
    step,
    suspects,
    trainings,
)
from benchmarks.peers import measure as peers
from benchmarks.workspace import Workspace

Measure = Callable[[Workspace], Iterator[dict[str, Any]]]
Section = Callable[[dict[str, Any]], str]

# Each measures, yielding what it has so far, and writes a section of the page.
PARTS: dict[str, tuple[Measure, Section]] = {
    "trainings": (trainings.measure_trainings, trainings.trainings_section),
    "best": (partial(trainings.measure_trainings, seeds=trainings.BEST), trainings.best_section),
    "peers": (peers.measure_mlp, peers.section),
    "peers-cnn": (peers.measure_cnn, peers.section),
    "step": (step.measure_step, step.step_section),
    "pipeline": (pipeline.measure_pipeline, pipeline.pipeline_section),
    "flow": (pipeline.measure_flow, pipeline.flow_section),
    "inference": (inference.measure_inference, inference.inference_section),
    "commands": (commands.measure_commands, commands.commands_section),
    "scoring": (commands.measure_scoring, commands.scoring_section),
    "serve": (serving.measure_serve, serving.serve_section),
    "shadow": (serving.measure_shadow, serving.shadow_section),
    "soak": (soak.measure_soak, soak.soak_section),
    "disk": (disk.measure_disk, disk.disk_section),
    "answers": (answers.measure_answers, answers.answers_section),
    "drift": (drift.measure_drift, drift.drift_section),
    "images": (images.measure_images, images.images_section),
    "growth": (images.measure_growth, images.growth_section),
    "stopping": (real_data.measure_stopping, real_data.stopping_section),
    "uneven": (real_data.measure_uneven, real_data.uneven_section),
    "scale": (scale.measure_scale, scale.scale_section),
    "photos": (photos.measure_photos, photos.photos_section),
    "labels": (labels.measure_labels, labels.labels_section),
    "suspects": (suspects.measure_suspects, suspects.suspects_section),
}


def page(result: dict[str, Any]) -> str:
    """docs/benchmarks.md: one section per measured part, under the machine it was measured on."""
    texts = ["# Benchmarks"]
    machine: dict[str, Any] = {}
    for part, (_, section) in PARTS.items():
        if part not in result:
            continue
        if result[part]["machine"] != machine:
            machine = result[part]["machine"]
            listed = ", ".join(f"{name} {value}" for name, value in machine.items())
            texts.append(f"`make bench` measured this on: {listed}.")
        texts.append(section(result[part]["figures"]))
    return "\n\n".join(texts) + "\n"
