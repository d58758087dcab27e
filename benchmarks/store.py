"""How the benchmarks keep what they measured, and on what."""

import json
from pathlib import Path

import torch

import gan_course
from gan_course import training
from gan_course.checkpoint import replacing


def store(path: Path | None, result: dict) -> None:
    """Write a result as JSON, whole or not at all, into a folder that is made where it is missing; no path, no file."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def circumstances(device: str | None = None) -> dict:
    """The device that `fit` takes if asked for this one, in words, and the versions."""
    threads = torch.get_num_threads()
    on_cpu = training.training_device(device).type == "cpu"
    return {
        "device": f"CPU, {threads} thread{'s' if threads > 1 else ''}" if on_cpu else torch.cuda.get_device_name(),
        "versions": {"gan_course": gan_course.__version__, "torch": torch.__version__.split("+")[0]},
    }
