"""Sources: where batches come from. A stream is a source in use: endless, on one device, seeded, resumable."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_course.checks import whole

Batch = Any
Part = tuple[int, int]


def derived_seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, so that the streams that one seed governs have nothing in common."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7], "big")


class Rows:
    """Rows of tensors of equal length, drawn by index on the device, in shuffled passes without replacement.

    Every row comes once before any comes twice, also across the end of a pass and when a batch is larger than the data.
    """

    def __init__(self, tensors: Sequence[Tensor], single: bool):
        """`tensors`: equally long; `single`: yield a tensor instead of a tuple."""
        lengths = {len(t) if t.ndim else 0 for t in tensors}
        if len(lengths) != 1 or lengths == {0}:
            raise ValueError(
                f"a source needs tensors with the same number of rows, at least one: got shapes "
                f"{[tuple(t.shape) for t in tensors]}"
            )
        self.tensors, self.single = tuple(tensors), single

    def stream(self, batch_size: int, device: torch.device, seed: int, part: Part = (0, 1)) -> "RowStream":
        """An endless stream of batches; `part=(k, n)`: the k-th of n batches drawn together, for n processes."""
        return RowStream(self, whole("batch_size", batch_size), device, seed, part)


class RowStream:
    """The stream of `Rows`; its state is the order of this pass, the place in it, and the generator."""

    def __init__(self, rows: Rows, batch_size: int, device: torch.device, seed: int, part: Part = (0, 1)):
        """See `Rows.stream`."""
        self.tensors = [t.to(device) for t in rows.tensors]
        self.single, self.n = rows.single, len(rows.tensors[0])
        self.batch_size = batch_size * part[1]  # of all processes together
        self.mine = slice(part[0] * batch_size, (part[0] + 1) * batch_size)
        # Orders are made on the CPU, so that the same seed shows the same data on every device.
        self.generator = torch.Generator().manual_seed(seed)
        self.device, self.place, self.order = device, self.n, torch.empty(0, dtype=torch.long)

    def __next__(self) -> Batch:
        if self.place + self.batch_size <= self.n:
            index = self.order[self.place : self.place + self.batch_size]
            self.place += self.batch_size
        else:
            pieces, missing = [], self.batch_size
            while missing:
                if self.place == self.n:
                    self.order, self.place = self._new_order(), 0
                pieces.append(self.order[self.place : self.place + missing])
                self.place += len(pieces[-1])
                missing -= len(pieces[-1])
            index = torch.cat(pieces)
        batch = tuple(t[index[self.mine]] for t in self.tensors)
        return batch[0] if self.single else batch

    def _new_order(self) -> Tensor:
        pinned = self.device.type == "cuda"  # so that the device need not be waited for
        order = torch.randperm(self.n, generator=self.generator, pin_memory=pinned)
        return order.to(self.device, non_blocking=True)

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on from here."""
        return {
            "generator": self.generator.get_state(),
            "order": self.order.cpu().clone(),
            "place": torch.tensor(self.place),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        if len(state["order"]) not in (0, self.n):
            raise ValueError(f"the history was made with {len(state['order'])} rows of data, now there are {self.n}")
        self.generator.set_state(state["generator"].cpu())
        self.order, self.place = state["order"].to(self.device), int(state["place"])


class Paired(Rows):
    """The same rows of several tensors: `Paired(images, labels)` yields `(images, labels)` of the same examples."""

    def __init__(self, *tensors: Tensor):
        """`tensors`: equally long, at least one."""
        if not tensors or not all(isinstance(t, Tensor) for t in tensors):
            raise ValueError(f"Paired takes tensors of equal length, got {[type(t).__name__ for t in tensors]}")
        super().__init__(tensors, single=False)


class Unpaired:
    """Independent draws from several sources, as a tuple, or as a dict where they are named. Sources nest.

    `Unpaired(labelled=Paired(x, y), unlabelled=x, sizes=[16, 48])` yields 16 labelled and 48 unlabelled examples.
    """

    def __init__(self, *sources, sizes: Sequence[int] | None = None, **named):
        """`sources` or `named`: tensors or sources; `sizes`: a batch size for each, else all take `fit`'s."""
        if bool(sources) == bool(named):
            raise ValueError("Unpaired takes either positional sources (tuple batches) or named ones (dict batches)")
        self.names = list(named) or None
        self.sources = [as_source(source) for source in (named.values() if named else sources)]
        if sizes is not None:
            if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) != len(self.sources):
                raise ValueError(
                    f"sizes={sizes!r}: give a list of one positive batch size for each of {len(self.sources)} sources"
                )
            sizes = [whole(f"sizes[{i}]", size) for i, size in enumerate(sizes)]
        self.sizes = sizes

    def stream(self, batch_size: int, device: torch.device, seed: int, part: Part = (0, 1)) -> "JointStream":
        """An endless stream of batches."""
        sizes = self.sizes or [batch_size] * len(self.sources)
        streams = [
            source.stream(size, device, derived_seed(seed, f"source {i}"), part)
            for i, (source, size) in enumerate(zip(self.sources, sizes, strict=True))
        ]
        return JointStream(streams, self.names)


class JointStream:
    """The stream of `Unpaired`."""

    def __init__(self, streams: list, names: list[str] | None):
        """See `Unpaired.stream`."""
        self.streams, self.names = streams, names

    def __next__(self) -> Batch:
        batches = tuple(next(stream) for stream in self.streams)
        return batches if self.names is None else dict(zip(self.names, batches, strict=True))

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on from here."""
        return {f"{i}.{k}": v for i, stream in enumerate(self.streams) for k, v in stream.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        for i, stream in enumerate(self.streams):
            stream.load_state_dict({k.split(".", 1)[1]: v for k, v in state.items() if k.startswith(f"{i}.")})


class Loader:
    """Any re-iterable of batches, such as a `DataLoader`: run through again and again, with batches of its own size.

    It draws its randomness from a state of its own, so that shuffling and augmentation are seeded by `fit` and resume
    in the middle of a pass (the batches already seen in it are passed over).
    """

    def __init__(self, batches: Iterable):
        """`batches`: can be iterated over more than once."""
        if not isinstance(batches, Iterable):
            raise ValueError(f"batches must be a DataLoader, or a list of batches, not a {type(batches).__name__}")
        if isinstance(batches, Iterator):
            raise ValueError(
                f"a {type(batches).__name__} can be run through only once; give fit something that starts anew each "
                "time: a tensor, a list of batches, a DataLoader, or an object whose __iter__ makes a new iterator"
            )
        self.batches = batches

    def stream(self, batch_size: int, device: torch.device, seed: int, part: Part = (0, 1)) -> "LoaderStream":
        """An endless stream of the loader's own batches; of several processes, each shuffles by a seed of its own."""
        return LoaderStream(self.batches, device, derived_seed(seed, f"part {part[0]}") if part[0] else seed)


class LoaderStream:
    """The stream of a `Loader`."""

    def __init__(self, batches: Iterable, device: torch.device, seed: int):
        """See `Loader.stream`."""
        self.batches, self.device = batches, device
        self.random = torch.Generator().manual_seed(seed).get_state()
        self.start, self.seen, self.iterator = self.random, 0, None

    def __next__(self) -> Batch:
        outside = torch.get_rng_state()
        torch.set_rng_state(self.random)
        try:
            batch = self._next()
        finally:
            self.random = torch.get_rng_state()
            torch.set_rng_state(outside)
        return _to(batch, self.device)

    def _next(self) -> Batch:
        if self.iterator is not None:
            try:
                batch = next(self.iterator)
                self.seen += 1
                return batch
            except StopIteration:
                pass
        self.start, self.seen = torch.get_rng_state(), 1
        self.iterator = iter(self.batches)
        try:
            return next(self.iterator)
        except StopIteration:
            raise ValueError(
                "the source gave no batch at all: it is empty, or it can be run through only once"
            ) from None

    def state_dict(self) -> dict[str, Tensor]:
        """What it takes to go on from here."""
        return {"start": self.start, "seen": torch.tensor(self.seen), "random": self.random}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there, passing over what this pass has already given."""
        self.random, seen = state["start"].cpu(), int(state["seen"])
        self.iterator = None
        for _ in range(seen):
            next(self)
        self.random = state["random"].cpu()


def as_source(thing):
    """The source that `thing` is, or can be wrapped into.

    Raises:
        ValueError: for a bare tuple (paired or not?), an iterator, or anything that gives no batches.
    """
    if isinstance(thing, Tensor):
        return Rows([thing], single=True)
    if hasattr(thing, "stream"):
        return thing
    if isinstance(thing, tuple):
        raise ValueError(
            "a bare tuple is ambiguous: use Paired(images, labels) for the same rows of both, "
            "or Unpaired(a, b) for independent draws"
        )
    if isinstance(thing, Iterable) and not isinstance(thing, str | bytes | dict | np.ndarray):
        return Loader(thing)
    hint = "; give its .images, or Paired(x.images, x.labels)" if hasattr(thing, "images") else ""
    hint = "; torch.as_tensor makes a tensor of it" if isinstance(thing, np.ndarray) else hint
    raise ValueError(
        f"fit cannot draw batches from a {type(thing).__name__}: give a tensor, Paired, Unpaired or a DataLoader{hint}"
    )


def _to(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: _to(part, device) for name, part in batch.items()}
    if isinstance(batch, list | tuple):
        return tuple(_to(part, device) for part in batch)
    return batch
