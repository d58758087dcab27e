"""Batches of several domains: pairs that belong together, and samples that do not."""

from collections.abc import Sequence

from torch import Tensor

PAIRS = "pairs"
"""The key under which a batch says that its tensors belong together row by row (`data.Pairs` makes such batches)."""


def pairs_of(batch: object, shapes: Sequence[tuple[int, ...] | None], other: str) -> tuple[Tensor, ...]:
    """The tensors of a batch of pairs, one for each domain.

    Whether rows belong together cannot be seen in a bare tuple: `Paired` and `Unpaired` both give one. So a game of
    pairs asks for batches that say so.

    Args:
        batch: a dict with `pairs`.
        shapes: of a sample of each domain; `None` where any will do.
        other: the game for samples that do not belong together, for the message.

    Raises:
        ValueError: for any other batch, parts of unequal length, samples of other shapes.
    """
    if not isinstance(batch, dict) or PAIRS not in batch:
        given = f"a dict of {sorted(batch)}" if isinstance(batch, dict) else f"a {type(batch).__name__}"
        raise ValueError(
            f"this game learns from pairs, and the batch is {given}, of which nobody knows whether rows belong "
            f"together: give fit data.Pairs(x, y); for samples that are not paired there is {other}"
        )
    parts = parts_of(batch[PAIRS], shapes)
    if len({len(part) for part in parts}) != 1:
        raise ValueError(
            f"pairs with {[len(part) for part in parts]} rows were given; each sample of one domain has its "
            f"counterpart in every other. For samples that are not paired there is {other}"
        )
    return parts


def singles_of(batch: object, shapes: Sequence[tuple[int, ...] | None], other: str) -> tuple[Tensor, ...]:
    """The tensors of a batch of samples that do not belong together, one for each domain.

    Raises:
        ValueError: for batches of pairs, which are for the game `other`, and as `parts_of` does.
    """
    if isinstance(batch, dict):
        raise ValueError(
            f"this game learns from unpaired samples, and the batch is a dict of {sorted(batch)}: give fit "
            f"data.Unpaired(x, y); for pairs there is {other}"
        )
    return parts_of(batch, shapes)


def parts_of(batch: object, shapes: Sequence[tuple[int, ...] | None]) -> tuple[Tensor, ...]:
    """A batch as one tensor of at least one sample for each domain.

    Raises:
        ValueError: for another number of domains, and for samples of another shape.
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != len(shapes):
        given = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else f"a {type(batch).__name__}"
        raise ValueError(f"a batch has {given}; it must have a tensor for each of {len(shapes)} domains")
    for domain, (part, shape) in enumerate(zip(batch, shapes, strict=True)):
        check_part(f"the batch of domain {domain}", part, shape)
    return tuple(batch)


def check_part(name: str, part: object, shape: tuple[int, ...] | None) -> None:
    """Refuse what is no batch of samples of that shape."""
    right = isinstance(part, Tensor) and part.ndim > 0 and len(part) > 0
    if not right or (shape is not None and tuple(part.shape[1:]) != shape):
        given = f"one of shape {tuple(part.shape)}" if isinstance(part, Tensor) else f"a {type(part).__name__}"
        wanted = "(n, ...)" if shape is None else f"({', '.join(map(str, ('n', *shape)))})"
        raise ValueError(f"{name} must be a tensor of shape {wanted} with at least one sample, not {given}")
