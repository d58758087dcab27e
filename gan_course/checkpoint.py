"""A game and its history in one file, from which training goes on as if there had been no break.

The file is a safetensors file: tensors, and one JSON text, with a checksum of both. Loading it never executes anything.
The file that a new one takes the place of is kept beside it: `a.safetensors` becomes `a.previous.safetensors`.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from array import array
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor

from gan_course.errors import CheckpointDamaged, CheckpointError, Diverged
from gan_course.games.base import Game
from gan_course.training import History

_VERSION = 2  # of the format


def save(path: str | Path, game: Game, history: History, configuration: dict[str, Any] | None = None) -> None:
    """Write the game, its history and a configuration of your own (anything that JSON holds) to one file.

    The file appears whole or not at all: it is written beside its place, flushed, and renamed. What was there before
    is kept as `previous(path)`.

    Raises:
        Diverged: if a weight is infinite or not a number; nothing is written then.
        CheckpointError: if the file cannot be written; what was there is there still.
    """
    for name, parameter in game.named_parameters():
        if not parameter.detach().isfinite().all():
            raise Diverged(
                f"after round {history.rounds} the weights {name} are no longer finite numbers: training has diverged. "
                "Lower the learning rate"
            )
    history.read()
    tensors = {f"game/{name}": tensor for name, tensor in game.state_dict().items()}
    tensors |= {
        f"history/{name}": torch.tensor(column, dtype=torch.float64) for name, column in history.columns.items()
    }
    state = _flatten(history.state, "state", tensors)
    text = json.dumps(
        {
            "game": type(game).__name__,
            "rounds": history.rounds,
            "seconds": history.seconds,
            "columns": list(history.columns),
            "state": state,
            "configuration": configuration or {},
        }
    )
    # A copy of each tensor: safetensors refuses tensors that share memory, as shared networks' do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        with replacing(path, keep=previous(path)) as temporary:
            Path(temporary).write_bytes(serialised(tensors, _metadata(text, tensors)))
    except OSError as error:
        kept = "what was there before is there still" if Path(path).exists() else "nothing is there"
        raise CheckpointError(f"{path} could not be written ({error}); {kept}") from error


def previous(path: str | Path) -> Path:
    """Where the checkpoint before the newest one at `path` is kept."""
    path = Path(path)
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def load(path: str | Path, game: Game) -> History:
    """Fill the game with a checkpoint's weights and return its history, to be given to `fit(..., history=...)`.

    Raises:
        CheckpointError: if there is no such file, it is damaged, it was written by a newer version, or it holds
            another game. The game is untouched then.
    """
    header, tensors = _read(path)
    weights = {name.removeprefix("game/"): t for name, t in tensors.items() if name.startswith("game/")}
    mine = game.state_dict()
    if header["game"] != type(game).__name__ or {n: t.shape for n, t in weights.items()} != {
        n: t.shape for n, t in mine.items()
    }:
        raise CheckpointError(
            f"{path} holds a {header['game']} whose networks are not those of the given {type(game).__name__}: "
            "build the game as it was built when the checkpoint was made"
        )
    history = History()
    history.rounds = history._read = header["rounds"]
    history.seconds = header["seconds"]
    history.columns = {name: array("d", tensors[f"history/{name}"].tolist()) for name in header["columns"]}
    history.state = _unflatten(header["state"], tensors)
    game.load_state_dict(weights)
    return history


def configuration(path: str | Path) -> dict[str, Any]:
    """The configuration that was saved along.

    Raises:
        CheckpointError: as `load`.
    """
    return _read(path)[0]["configuration"]


@contextlib.contextmanager
def replacing(path: str | Path, keep: Path | None = None):
    """Yields the name of a temporary file that takes the place of `path` when the block ends without an error.

    What was there is kept as `keep`, if given. At every moment `path` is the old file or the new one, whole.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        if keep is not None and path.exists():
            _keep(path, keep)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def half_written(folder: str | Path, names: re.Pattern) -> list[Path]:
    """What a process that was killed in `replacing` has left in a folder, of files with such names."""
    left = re.compile(rf"\.(?:{names.pattern})\..+")
    return [file for file in Path(folder).glob(".*") if left.fullmatch(file.name)]


def _keep(path: Path, keep: Path) -> None:
    """Give the file a second name, without a moment in which either name is missing that was there."""
    spare = keep.with_name(f".{keep.name}.new")
    spare.unlink(missing_ok=True)
    try:
        os.link(path, spare)
    except OSError:  # a file system without second names
        shutil.copyfile(path, spare)
    os.replace(spare, keep)


def _flush_folder(folder: Path) -> None:
    """Make the folder's names last too, where the system knows how."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _metadata(text: str, tensors: dict[str, Tensor]) -> dict[str, str]:
    version = str(_VERSION)
    return {"gan_course": text, "version": version, "sha256": _digest(version, text, tensors)}


def _digest(version: str, text: str, tensors: dict[str, Tensor]) -> str:
    total = hashlib.sha256(f"{version} {text}".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            text = metadata.get("gan_course")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint at {path}") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointDamaged(
            f"{path} cannot be read as a checkpoint, it is damaged or something else ({error})"
        ) from None
    if text is None:
        raise CheckpointError(f"{path} is a safetensors file but no checkpoint of gan_course")
    version = metadata.get("version", "")
    if version.isdecimal() and int(version) > _VERSION:
        raise CheckpointError(
            f"{path} was written in format {version} by a newer gan_course; this one reads up to {_VERSION}: upgrade it"
        )
    if metadata.get("sha256") != _digest(version, text, tensors):
        raise CheckpointDamaged(f"{path} is damaged: its content is not what was written (the checksum differs)")
    return json.loads(text), tensors


def _flatten(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value as JSON, each tensor in it moved to `tensors` and replaced by its name there."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {"items": [[k, _flatten(v, f"{name}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_flatten(v, f"{name}/{i}", tensors) for i, v in enumerate(value)]}
    return {"value": value}


def _unflatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "items" in value:
        return {key: _unflatten(item, tensors) for key, item in value["items"]}
    if "list" in value:
        return [_unflatten(item, tensors) for item in value["list"]]
    return value["value"]
