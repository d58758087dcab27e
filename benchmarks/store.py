"""How the benchmarks keep what they measured."""

import json
from pathlib import Path

from gan_course.checkpoint import replacing


def store(path: Path | None, result: dict) -> None:
    """Write a result as JSON, whole or not at all, into a folder that is made where it is missing; no path, no file."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Path(temporary).write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
