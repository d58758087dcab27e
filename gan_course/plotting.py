"""The pictures of the course in one house style: real is blue, generated is vermilion, everywhere.

Every function draws on `ax` (or on a new figure), returns the Axes, and leaves showing and saving to the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor

from gan_course.games import evaluating

Numbers = Sequence | np.ndarray | Tensor

# Okabe and Ito's palette, which readers with any colour vision can tell apart.
REAL, FAKE = "#0072B2", "#D55E00"
GREEN, PURPLE, SKY, AMBER, INK = "#009E73", "#AA4499", "#56B4E9", "#E69F00", "#333333"
PALETTE = (REAL, FAKE, GREEN, PURPLE, SKY, AMBER, INK)
PLAYERS = {"generator": FAKE, "discriminator": GREEN}
# D(x) from 0 (taken for generated) through 1/2 (white) to 1 (taken for real); pale, so that points stand out.
SURFACE = LinearSegmentedColormap.from_list("discriminator", ["#F2B48A", "#FBE4D4", "#FFFFFF", "#D5E8F3", "#8FC1DF"])


def style() -> None:
    """Set matplotlib's defaults to the house style; chapters call it once, in their first cell.

    The background is opaque white, so that figures read the same on a light page and on a dark one.
    """
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "savefig.dpi": 100,
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
            "font.size": 10,
            "text.color": INK,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.labelcolor": INK,
            "axes.edgecolor": "#999999",
            "axes.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=PALETTE),
            "axes.axisbelow": True,
            "xtick.color": "#666666",
            "ytick.color": "#666666",
            "grid.color": "#E5E5E5",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "image.cmap": "gray",
        }
    )


def image_grid(
    images: Float[Tensor, "n c h w"], columns: int = 8, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Show images in [0, 1] as one grid, row by row; one channel is grey, three are red, green and blue.

    Raises ValueError if the shape is not (n, c, h, w) with c = 1 or 3, or n = 0.
    """
    pixels = _pixels(images)
    if columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    ax = _axes(ax, (columns * 0.62 + 0.1, rows * 0.62 + (0.4 if title else 0.1)))
    _mosaic(ax, pixels, rows, columns)
    ax.set_axis_off()
    return _titled(ax, title)


def image_rows(rows: Mapping[str, Float[Tensor, "n c h w"]], ax: Axes | None = None, title: str | None = None) -> Axes:
    """Show named batches of images, one batch per row with its name on the left; columns correspond.

    The rows are as long as the shortest batch. Typical: originals over reconstructions, samples over neighbours.
    """
    if not rows:
        raise ValueError("no rows given; give a mapping from names to images, such as {'real': x, 'generated': y}")
    batches = [_pixels(images) for images in rows.values()]
    if len({batch.shape[1:] for batch in batches}) > 1:
        shapes = ", ".join(f"{name}: {tuple(images.shape[1:])}" for name, images in rows.items())
        raise ValueError(f"images of all rows must have one shape, not {shapes}")
    columns = min(len(batch) for batch in batches)
    ax = _axes(ax, (columns * 0.62 + 1.3, len(rows) * 0.62 + (0.4 if title else 0.1)))
    _mosaic(ax, np.concatenate([batch[:columns] for batch in batches]), len(rows), columns)
    height = batches[0].shape[1] + 1
    ax.set_xticks([])
    ax.set_yticks([(row + 0.5) * height for row in range(len(rows))], list(rows))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return _titled(ax, title)


def plane(
    game,
    real: Float[Tensor, "n 2"],
    fake: Float[Tensor, "m 2"] | int = 500,
    ax: Axes | None = None,
    extent: float = 3.0,
    arrows: int = 60,
    title: str | None = None,
) -> Axes:
    r"""Show real and generated points over the discriminator's surface, and where the generator is pulled.

    Colour: $D(x)=\sigma(d(x))$, with the contour $D=\tfrac12$; arrows: `pull` at the first `arrows` generated points.

    `fake` is a tensor, or how many points to sample from the game. `extent`: half the side of the square shown.
    """
    fake = game.sample(fake) if isinstance(fake, int) else fake
    for name, points in (("real", real), ("fake", fake)):
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"{name} must be points of the plane, of shape (n, 2), not {tuple(points.shape)}")
    if not extent > 0:
        raise ValueError(f"extent is half the side of the square shown and must be positive, not {extent}")
    ax = _axes(ax, (4.6, 4.2))
    values = surface(game, extent, 100)
    ticks = np.linspace(-extent, extent, len(values))
    box = (-extent, extent, -extent, extent)
    picture = ax.imshow(values, extent=box, origin="lower", cmap=SURFACE, vmin=0, vmax=1, interpolation="bilinear")
    if values.min() < 0.5 < values.max():
        ax.contour(ticks, ticks, values, levels=[0.5], colors=INK, linewidths=1.2)
    ax.scatter(*_numpy(real)[:2000].T, s=5, color=REAL, alpha=0.5, linewidths=0, label="real")
    ax.scatter(*_numpy(fake)[:2000].T, s=9, color=FAKE, alpha=0.8, linewidths=0, label="generated")
    if arrows and len(fake):
        tails = fake[:arrows]
        heads = _numpy(pull(game, real, tails))
        # The longest arrow takes an eighth of the side; proportions are kept.
        scale = max(float(np.linalg.norm(heads, axis=1).max()), 1e-12) / (extent / 4)
        ax.quiver(*_numpy(tails).T, *heads.T, angles="xy", scale_units="xy", scale=scale, color=INK, width=0.004)
    ax.set(xlim=box[:2], ylim=box[2:], aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(picture, ax=ax, shrink=0.7, ticks=[0, 0.5, 1])
    bar.set_label("D(x)")
    bar.outline.set_visible(False)
    ax.legend(loc="upper right", markerscale=2, handletextpad=0.1, frameon=True, framealpha=0.8, edgecolor="none")
    return _titled(ax, title)


def surface(game, extent: float = 3.0, side: int = 40) -> np.ndarray:
    r"""$D(x)=\sigma(d(x))$ on a square grid of `side`² points over $[-e,e]^2$; the first axis is $x_2$, upwards."""
    ticks = torch.linspace(-extent, extent, side)
    vertical, horizontal = torch.meshgrid(ticks, ticks, indexing="ij")
    points = torch.stack([horizontal, vertical], dim=-1).reshape(-1, 2).to(_device(game))
    with evaluating(game.discriminator):
        return _numpy(torch.sigmoid(game.discriminator(points))).reshape(side, side)


def pull(game, real: Float[Tensor, "n 2"], fake: Float[Tensor, "m 2"]) -> Float[Tensor, "m 2"]:
    r"""Where the generator's objective would move each sample: $-\partial\ell_G/\partial x_i$ at every generated $x_i$.

    $\ell_G(x_i)$ is the loss of one sample: the objective's loss is a mean over $m$ of them, so its gradient is
    multiplied by $m$. The discriminator is in evaluation mode, so that no batch normalisation mixes the samples.
    """
    device = _device(game)
    x = fake.detach().to(device).clone().requires_grad_()
    with evaluating(game.discriminator), torch.enable_grad():
        companions = real[torch.arange(len(x)) % len(real)].to(device)  # objectives that compare want equal numbers
        terms = game.objective.for_generator(game.discriminator, companions, x)
        (gradient,) = torch.autograd.grad(sum(terms.values()), x)
    return -len(x) * gradient


def loss_curves(
    history,
    smoothing: float = 0.9,
    reference: Mapping[str, float] | None = None,
    terms: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw every recorded term over the rounds: the raw values faint, their exponential smoothing on top.

    `reference`: named horizontal lines, such as {"log 4": math.log(4)}. `terms`: columns of `history.frame` to draw;
    by default those whose name is of the form player/term.
    """
    frame = history.frame
    names = [name for name in frame.columns if "/" in name] if terms is None else list(terms)
    unknown = [name for name in names if name not in frame.columns]
    if unknown or not names:
        raise ValueError(f"no recorded terms {unknown}; recorded are: {', '.join(frame.columns) or 'none'}")
    ax = _axes(ax, (6.4, 3.2))
    spare = [PURPLE, SKY, AMBER, REAL]
    taken: set[str] = set()
    single = {name.split("/")[0] for name in names}
    for name in names:
        player = name.split("/")[0]
        alone = len([other for other in names if other.split("/")[0] == player]) == 1
        color = PLAYERS.get(player) if player not in taken else None
        if color is None:
            color = spare.pop(0) if spare else INK
        taken.add(player)
        values = frame[name].dropna()
        ax.plot(values.index, values, color=color, alpha=0.2, linewidth=0.8)
        label = player if alone and len(single) > 1 else name.replace("/", ": ")
        ax.plot(values.index, smooth(values.to_numpy(), smoothing), color=color, label=label)
    for label, level in (reference or {}).items():
        ax.axhline(level, color="#888888", linewidth=1, linestyle="--")
        ax.annotate(label, (1, level), xycoords=("axes fraction", "data"), xytext=(-2, 3), textcoords="offset points",
                    ha="right", color="#666666", fontsize=9)  # fmt: skip
    ax.set(xlabel="round", ylabel="loss")
    ax.grid(axis="y")
    ax.legend(loc="best")
    return _titled(ax, title)


def smooth(values: Numbers, smoothing: float = 0.9) -> np.ndarray:
    r"""Exponential smoothing without a bias towards the start.

    $\bar x_t=\frac{\sum_{s\le t}\beta^{t-s}x_s}{\sum_{s\le t}\beta^{t-s}}$ with $\beta$ = `smoothing` in [0, 1).
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be at least 0 and below 1, not {smoothing}")
    result, total, weight = np.empty(len(values)), 0.0, 0.0
    for step, value in enumerate(values):
        total, weight = smoothing * total + value, smoothing * weight + 1
        result[step] = total / weight
    return result


def bars(
    groups: Mapping[str, Numbers],
    labels: Sequence[str] | None = None,
    reference: Mapping[str, float] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    ylabel: str = "share",
) -> Axes:
    """Bars side by side, one colour per group: class histograms, results of several methods.

    `groups` maps a name to one number per label; the names "real" and "generated" get their house colours.
    """
    lengths = {len(values) for values in groups.values()}
    if len(lengths) != 1 or (labels is not None and lengths != {len(labels)}):
        raise ValueError(f"every group needs one number per label, but the lengths are {sorted(lengths)}")
    count = lengths.pop()
    ax = _axes(ax, (6.4, 2.8))
    width = 0.8 / len(groups)
    for place, (name, values) in enumerate(groups.items()):
        offset = (place - (len(groups) - 1) / 2) * width
        ax.bar(np.arange(count) + offset, _numpy(values), width * 0.95, color=color_of(name, place), label=name)
    for label, level in (reference or {}).items():
        ax.axhline(level, color=INK, linewidth=1, linestyle="--", label=label)
    ax.set_xticks(np.arange(count), [str(i) for i in range(count)] if labels is None else list(labels))
    ax.set_ylabel(ylabel)
    ax.grid(axis="y")
    if len(groups) > 1 or reference:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return _titled(ax, title)


def lines(
    x: Numbers,
    curves: Mapping[str, Numbers],
    ax: Axes | None = None,
    title: str | None = None,
    xlabel: str = "x",
    ylabel: str = "density",
    fill: bool = False,
) -> Axes:
    """Curves over one axis: densities p(x) and q(x), an optimal discriminator, a sweep. `fill` shades below them."""
    ax = _axes(ax, (6.4, 3.0))
    for place, (name, values) in enumerate(curves.items()):
        color = color_of(name, place)
        ax.plot(_numpy(x), _numpy(values), color=color, label=name)
        if fill:
            ax.fill_between(_numpy(x), _numpy(values), color=color, alpha=0.15, linewidth=0)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(axis="y")
    ax.legend(loc="best")
    return _titled(ax, title)


def histogram(
    samples: Mapping[str, Float[Tensor, " n"]],
    bins: int = 60,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    xlabel: str = "x",
) -> Axes:
    """Normalised histograms of one-dimensional samples on common bins, one colour per name, translucent."""
    values = {name: _numpy(numbers).reshape(-1) for name, numbers in samples.items()}
    together = np.concatenate(list(values.values()))
    edges = np.linspace(*(limits or (together.min(), together.max())), bins + 1)
    ax = _axes(ax, (6.4, 3.0))
    for place, (name, numbers) in enumerate(values.items()):
        ax.hist(numbers, edges, density=True, color=color_of(name, place), alpha=0.55, label=name)
    ax.set(xlabel=xlabel, ylabel="density")
    ax.legend(loc="best")
    return _titled(ax, title)


def color_of(name: str, place: int = 0) -> str:
    """The house colour of a name that begins with "real" or "generated", else the `place`-th spare colour."""
    if name.lower().startswith("real"):
        return REAL
    if name.lower().startswith(("generated", "fake")):
        return FAKE
    spare = (GREEN, PURPLE, AMBER, SKY, INK)
    return spare[place % len(spare)]


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    return plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax


def _titled(ax: Axes, title: str | None) -> Axes:
    if title:
        ax.set_title(title)
    return ax


def _numpy(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _pixels(images: Tensor) -> np.ndarray:
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"images must have the shape (n, c, h, w) with n > 0 and c = 1 or 3, not {tuple(images.shape)}; "
            "flat images need images.reshape(n, c, h, w)"
        )
    return np.moveaxis(_numpy(images).astype(np.float32), 1, -1).clip(0, 1)


def _mosaic(ax: Axes, pixels: np.ndarray, rows: int, columns: int) -> None:
    """Paste (n, h, w, c) into one white-ruled picture, so that a grid of hundreds stays one fast image."""
    height, width, channels = pixels.shape[1:]
    canvas = np.ones((rows * (height + 1), columns * (width + 1), channels), dtype=np.float32)
    for place, picture in enumerate(pixels):
        top, left = (place // columns) * (height + 1), (place % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = picture
    canvas = canvas[:-1, :-1]
    box = (0, canvas.shape[1], canvas.shape[0], 0)
    ax.imshow(canvas.squeeze(-1) if channels == 1 else canvas, cmap="gray", vmin=0, vmax=1, extent=box,
              interpolation="nearest")  # fmt: skip


def _device(game) -> torch.device:
    return next(game.discriminator.parameters()).device
