"""One network of several things: each through a tower of its own, then all side by side through one head."""

import torch
from torch import Tensor, nn

from gan_course.checks import instance


class Towers(nn.Module):
    r"""A map of several things, $h\big(f_1(x_1), \dots, f_k(x_k)\big)$, with the features side by side.

    It is called with all of them: `Towers(networks.mlp(4, [64], 2), None, None)(x, y)`. An encoder of a pair is of this
    kind, $z(x, y)$, and so is one that reads a sample beside a code, $u(z, x)$.
    """

    samplewise = True  # where its parts are

    def __init__(self, head: nn.Module, *towers: nn.Module | None):
        """A map of as many things as there are towers.

        Args:
            head: $h$, from the features of all, `(n, a + b + ...)`.
            *towers: $f_i$, from the $i$-th thing to `(n, ...)`; None for its own coordinates.
        """
        super().__init__()
        instance("head", head, nn.Module, "a torch.nn.Module")
        if not towers:
            raise ValueError("no towers were given; there must be one for each thing, or None for its own coordinates")
        for tower in towers:
            instance("towers", tower, (nn.Module, type(None)), "torch.nn.Modules or None")
        # One beside the other, not one after the other: but as a list they would not be known to judge row by row.
        self.head, self.towers = head, nn.Sequential(*(tower or nn.Identity() for tower in towers))

    def forward(self, *things: Tensor) -> Tensor:
        """What the head makes of the features. Raises ValueError for other numbers of things, or of rows in them."""
        if len(things) != len(self.towers):
            raise ValueError(f"{len(things)} things were given for {len(self.towers)} towers; give one for each")
        if len(lengths := {len(thing) for thing in things}) > 1:
            raise ValueError(
                f"things of {sorted(lengths)} rows were given; each row of one belongs to one of the other"
            )
        features = [tower(thing).flatten(1) for tower, thing in zip(self.towers, things, strict=True)]
        return self.head(torch.cat(features, 1))
