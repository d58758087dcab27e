"""JointGAN beside marginal GANs with a translator behind them: do samples of two domains belong together?

Four games, two of which see pairs and two of which see samples that do not belong together. JointGAN learns each domain
alone and given the other, against one critic of all joint laws. A game of two steps has a GAN of the first domain and a
translator into the second: pix2pix from pairs, CycleGAN without. Its parts know nothing of each other, so that it makes
no difference whether they are trained one after the other or, as here, side by side. All games have about as many
parameters, by the width of their networks, and every network takes as many steps: one in each round. (The paper's
games of two steps begin with a WGAN-GP, and its networks for images are not known to us.)

A draw begins with the first domain. Its relevance is asked of a model of pairs that no game has seen; true and random
pairs of the model's own test part are the marks. The unpaired games see other rows of the one domain than of the other:
no sample has its counterpart there.

Three tasks. Five heaps in the plane, whose partners are turned by 45 degrees: which heap, of five, is all that a point
says of its partner. Digits of MNIST beside a digit of USPS that is one more, where the first says which digit the
second is, and nothing of how it looks. And digits beside their edges, where the first says everything. The digits have
8 × 8 pixels, so that perceptrons are enough and five seeds take minutes.

Each game had four trials of the first two tasks on seed 10, which is not reported elsewhere (the variants `trials`):
two step sizes, and two values of one setting more, the generators' loss of JointGAN, the weight of pix2pix's error,
that of CycleGAN's cycle. JointGAN's own cycles, where there are no pairs, have a weight of 0.1: with 1 it drew a single
heap. Of the heaps' trials those with most pairs on one matching are played on, of the digits' those whose relevance is
furthest above that of different rows, for both tasks of digits.
"""

import functools
from collections.abc import Callable
from dataclasses import replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from gan_course import data, games, metrics, networks
from gan_course.data import domains
from gan_course.games.base import Batch, Game, OptimizerFactory, Turn
from gan_course.headlines import Experiment, Play

Source = data.Unpaired
PAIRS, FIRST, SECOND = "pairs", "first", "second"


def source(pairs: tuple[Tensor, Tensor], first: Tensor, second: Tensor) -> Source:
    """Batches for all games: pairs, and samples of both domains that do not belong together."""
    return data.Unpaired(**{PAIRS: data.Paired(*pairs), FIRST: first, SECOND: second})


# --- The games -----------------------------------------------------------------------------------------------------


def adam(rate: float) -> OptimizerFactory:
    """Adam with a first moment of 0.5."""
    return games.adam(rate, betas=(0.5, 0.99))


def learning(rate: float) -> dict:
    """How every game learns: a step size that falls to zero, and an average of the generators."""
    return {"optimizer": adam(rate), "rate": games.linear_decay, "average": 0.99}


def alone(batch: Batch) -> tuple[Tensor, Tensor]:
    """What the unpaired games see of a batch."""
    return batch[FIRST], batch[SECOND]


class Unpaired(games.JointGAN):
    """JointGAN on the unpaired part of a batch."""

    def parted(self, batch: Batch) -> tuple:
        """Samples of both domains, and no pairs."""
        return super().parted(alone(batch))


class TwoStep(Game):
    """A GAN of the first domain, and a translator from there into the second one."""

    def __init__(self, marginal: games.GAN, translator: games.Pix2Pix | games.CycleGAN):
        super().__init__()
        self.marginal, self.translator = marginal, translator

    def turns(self) -> list[Turn]:
        """Those of both games, each on its part of the batch."""
        if isinstance(self.translator, games.Pix2Pix):  # it takes the pairs out of a batch by itself
            parts = (self.marginal, lambda batch: batch[PAIRS][0]), (self.translator, lambda batch: batch)
        else:
            parts = (self.marginal, lambda batch: batch[FIRST]), (self.translator, alone)
        return [
            replace(turn, player=f"{type(game).__name__} {turn.player}", loss=functools.partial(_seeing, turn, part))
            for game, part in parts
            for turn in game.turns()
        ]

    def sample(self, n: int) -> tuple[Tensor, Tensor]:
        """A draw of the first domain, and its translation."""
        x = self.marginal.sample(n)
        return x, self.translator.translate(x)


def _seeing(turn: Turn, part: Callable[[Batch], Batch], batch: Batch) -> Tensor | dict[str, Tensor]:
    return turn.loss(part(batch))


def second_of(game: Game, x: Tensor) -> Tensor:
    """A sample of the second domain for each of the first."""
    return game.translate(x, 0, 1) if isinstance(game, games.JointGAN) else game.translator.translate(x)


# --- Five heaps ----------------------------------------------------------------------------------------------------

STD, POINTS, DRAWN, HELD_OUT, READ = 0.2, 10_000, 5_000, 10_000, 10_000
CENTERS = torch.tensor([[0.0, 0.0], [2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]])
TURN = torch.tensor([[1.0, -1.0], [1.0, 1.0]]) / 2**0.5
PARTNERS = CENTERS @ TURN.T


def heaps(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of points of the plane: the heap is the same, the place in it is not."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(len(CENTERS), (n,), generator=generator)
    noise = STD * torch.randn(2, n, 2, generator=generator)
    return CENTERS[which] + noise[0], PARTNERS[which] + noise[1]


def heap_source() -> Source:
    """Pairs, and as many points of each domain that are drawn apart."""
    return source(heaps(POINTS, 0), heaps(POINTS, 1)[0], heaps(POINTS, 2)[1])


@functools.cache
def heap_model() -> metrics.RelevanceModel:
    """Trained on pairs of its own."""
    return metrics.relevance_model(*heaps(HELD_OUT, 3), epochs=5)


def player(width: int, inputs: int = 2) -> nn.Module:
    """Two hidden layers, to a point of the plane."""
    return networks.mlp(inputs, [width, width], 2)


def judge(width: int, inputs: int = 2, outputs: int | None = None) -> nn.Module:
    """Two hidden layers, from points of the plane."""
    return networks.mlp(inputs, [width, width], outputs, lambda: nn.LeakyReLU(0.2))


def plane_joint(paired: bool, rate: float, **settings) -> games.JointGAN:
    """Three networks of 128 units, latents of two numbers."""
    generators = [networks.Towers(player(128, 4), None, None) for _ in range(2)]
    critic = networks.Towers(judge(128, 4, 4 + paired), None, None)
    game = games.JointGAN if paired else Unpaired
    return game(generators, critic, [(2,), (2,)], latent_size=2, paired=paired, **learning(rate), **settings)


def plane_marginal(width: int, rate: float) -> games.GAN:
    """The first step."""
    return games.GAN(player(width), judge(width), latent_size=2, **learning(rate))


def plane_pix2pix(rate: float, weight: float) -> TwoStep:
    """Four networks of 111 units."""
    translator = games.Pix2Pix(player(111), judge(111, 4), [(2,), (2,)], weight=weight, **learning(rate))
    return TwoStep(plane_marginal(111, rate), translator)


def plane_cyclegan(rate: float, cycle: float) -> TwoStep:
    """Six networks of 90 units."""
    there = [player(90) for _ in range(2)], [judge(90) for _ in range(2)]
    translator = games.CycleGAN(*there, [(2,), (2,)], objective="non-saturating", cycle=cycle, **learning(rate))
    return TwoStep(plane_marginal(90, rate), translator)


def heap_measure(game: Game) -> dict[str, float]:
    """Relevance, and which heaps stand beside which."""
    x, y = game.sample(DRAWN)
    found = metrics.relevance(x, y, heap_model())
    table = crossed(x, y)
    fair = table.clamp(max=1 / len(CENTERS))  # what one heap has beyond its share is not counted
    rows, columns = linear_sum_assignment(-fair.numpy())
    some = heaps(2_000, 4)[0]
    one, other = (second_of(game, some) for _ in range(2))
    return {
        "relevance": found.score,
        "relevance of different rows": found.shuffled,
        "right pairs, %": 100 * float(fair.diagonal().sum()),
        "pairs on the commonest matching, %": 100 * float(fair[rows, columns].sum()),
        "first domain: modes found of 5": metrics.mode_coverage(x, CENTERS, STD).modes,
        "second domain: modes found of 5": metrics.mode_coverage(y, PARTNERS, STD).modes,
        "both within 3σ of a mode, %": 100 * float(table.sum()),
        "variety given the first (1: the data's)": float((one - other).square().sum(1).mean().sqrt() / (2 * STD)),
        "parameters": parameters(game),
    }


def crossed(x: Tensor, y: Tensor) -> Tensor:
    """How often, of all draws, x lies within three standard deviations of one mode and y of another: `(5, 5)`."""
    near = [torch.cdist(points, centers).min(1) for points, centers in ((x, CENTERS), (y, PARTNERS))]
    good = (near[0].values <= 3 * STD) & (near[1].values <= 3 * STD)
    cells = 5 * near[0].indices[good] + near[1].indices[good]
    return torch.bincount(cells, minlength=25).view(5, 5) / len(x)


def parameters(game: Game) -> int:
    """Of all networks that learn."""
    return sum(len(p.flatten()) for turn in game.turns() for p in turn.parameters())


def marks(model: metrics.RelevanceModel) -> dict[str, float]:
    """The relevance of true and of random pairs."""
    return {"true pairs: relevance": model.true, "random pairs: relevance": model.random}


# --- Digits --------------------------------------------------------------------------------------------------------

SIZE, LATENT = 8, 16
PIXELS = SIZE * SIZE


@functools.cache
def digit_pairs(split: str) -> tuple[Tensor, Tensor]:
    """Digits of MNIST, and digits of USPS that are one more, as rows of pixels."""
    found = data.pairs.digits("usps", split=split, seed=0, size=SIZE)
    return found.first.flatten(1), found.second.flatten(1)


@functools.cache
def edge_pairs(split: str) -> tuple[Tensor, Tensor]:
    """Digits of MNIST, and their edges, as rows of pixels."""
    x = data.pairs.digits("usps", split=split, seed=0, size=SIZE).first
    return x.flatten(1), domains.edges(x).flatten(1)


TASKS = {"digits": digit_pairs, "edges": edge_pairs}


def image_source(task: str) -> Source:
    """The pairs of the training images; apart, the first domain of one half of them and the second of the other."""
    x, y = TASKS[task]("train")
    half = len(x) // 2
    return source((x, y), x[:half], y[half:])


def pictures(rows: Tensor) -> Tensor:
    """Rows of pixels as images."""
    return rows.unflatten(1, (1, SIZE, SIZE))


@functools.cache
def image_model(task: str) -> metrics.RelevanceModel:
    """Trained on pairs of test images."""
    return metrics.relevance_model(*map(pictures, TASKS[task]("test")), epochs=5)


def painter(inputs: int, width: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    """Two hidden layers, to pixels."""
    return networks.mlp(inputs, [width, width], PIXELS, activation, nn.Sigmoid)


def critic(images: int, width: int, outputs: int | None = None) -> nn.Module:
    """Two hidden layers, from so many images."""
    return networks.mlp(images * PIXELS, [width, width], outputs, lambda: nn.LeakyReLU(0.2))


def dropping() -> nn.Module:
    """The noise of pix2pix."""
    return nn.Sequential(nn.ReLU(), networks.translation.Dropout(0.5))


def image_joint(paired: bool, rate: float, **settings) -> games.JointGAN:
    """Three networks of 256 units."""
    generators = [networks.Towers(painter(LATENT + PIXELS, 256), None, None) for _ in range(2)]
    one = networks.Towers(critic(2, 256, 4 + paired), None, None)
    game, shapes = games.JointGAN if paired else Unpaired, [(PIXELS,)] * 2
    return game(generators, one, shapes, latent_size=LATENT, paired=paired, **learning(rate), **settings)


def image_marginal(width: int, rate: float) -> games.GAN:
    """The first step."""
    return games.GAN(painter(LATENT, width), critic(1, width), latent_size=LATENT, **learning(rate))


def image_pix2pix(rate: float, weight: float) -> TwoStep:
    """Four networks of 230 units; the translator's hidden units drop out, in use too."""
    there = painter(PIXELS, 230, dropping), critic(2, 230)
    return TwoStep(image_marginal(230, rate), games.Pix2Pix(*there, [(PIXELS,)] * 2, weight=weight, **learning(rate)))


def image_cyclegan(rate: float, cycle: float) -> TwoStep:
    """Six networks of 185 units."""
    there = [painter(PIXELS, 185) for _ in range(2)], [critic(1, 185) for _ in range(2)]
    translator = games.CycleGAN(*there, [(PIXELS,)] * 2, objective="non-saturating", cycle=cycle, **learning(rate))
    return TwoStep(image_marginal(185, rate), translator)


@functools.cache
def reader(domain: int):
    """A logistic regression that tells the digits of one domain by their pixels."""
    from sklearn.linear_model import LogisticRegression

    found = data.pairs.digits("usps", seed=0, size=SIZE, number=min(READ, len(digit_pairs("train")[0])))
    images = (found.first, found.second)[domain]
    return LogisticRegression(max_iter=1_000).fit(images.flatten(1).numpy(), found.labels[domain].numpy())


def one_more(x: Tensor, y: Tensor) -> float:
    """How often the second image is read as the digit after that of the first one."""
    read = [torch.as_tensor(reader(domain).predict(part.cpu().numpy())) for domain, part in enumerate((x, y))]
    return float(((read[0] + 1) % 10 == read[1]).double().mean())


def image_measure(game: Game, task: str) -> dict[str, float]:
    """Relevance, how both domains look, and whether a digit stands beside the right one."""
    x, y = game.sample(DRAWN)
    test, found = TASKS[task]("test"), metrics.relevance(pictures(x), pictures(y), image_model(task))
    figures = {"relevance": found.score, "relevance of different rows": found.shuffled}
    figures |= fit_of(task, x, y)
    for name, part, real in zip((FIRST, SECOND), (x, y), test, strict=True):
        figures[f"{name} domain: Fréchet distance of pixels"] = metrics.frechet_distance(part.cpu(), real)
    some = test[0][:2_000]
    one, other = (second_of(game, some) for _ in range(2))
    figures["variety given the first, root mean squared"] = metrics.rmse(one, other)
    return figures | {"parameters": parameters(game)}


def fit_of(task: str, x: Tensor, y: Tensor) -> dict[str, float]:
    """How well pairs fit, by the rule of the task."""
    if task == "digits":
        return {"read as one more, %": 100 * one_more(x, y)}
    return {
        "pixel agreement with the edges": metrics.pixel_agreement(domains.edges(pictures(x)), pictures(y)).agreement
    }


def image_marks(task: str) -> dict[str, float]:
    """Of true and of random pairs, and of training images against those of the test."""
    (x, y), test = (TASKS[task](split) for split in ("train", "test"))
    figures = marks(image_model(task)) | {f"true pairs: {name}": value for name, value in fit_of(task, *test).items()}
    for name, part, real in zip((FIRST, SECOND), (x, y), test, strict=True):
        figures[f"training images, {name} domain: Fréchet distance of pixels"] = metrics.frechet_distance(
            part[:DRAWN], real
        )
    return figures


# --- The experiments -----------------------------------------------------------------------------------------------

NAMES = ("JointGAN, paired", "GAN and pix2pix, paired", "JointGAN, unpaired", "GAN and CycleGAN, unpaired")
Maker = Callable[[], Game]


def plane(makers: dict[str, Maker], rounds: int, what: str, seeds: range) -> Experiment:
    """Five heaps."""
    return Experiment(
        title=f"Five heaps and their partners, JointGAN and games of two steps{what}",
        chapter="24_joint_gan",
        seeds=seeds,
        games={name: Play(make, rounds, 128) for name, make in makers.items()},
        data=heap_source,
        measure=heap_measure,
        marks=lambda: marks(heap_model()),
    )


def digits(task: str, makers: dict[str, Maker], rounds: int, what: str, seeds: range) -> Experiment:
    """Digits and their partners."""
    partners = {"digits": "USPS digits that are one more", "edges": "their edges"}[task]
    return Experiment(
        title=f"MNIST and {partners}, JointGAN and games of two steps{what}",
        chapter="24_joint_gan",
        seeds=seeds,
        games={name: Play(make, rounds, 128) for name, make in makers.items()},
        data=lambda: image_source(task),
        measure=lambda game: image_measure(game, task),
        marks=lambda: image_marks(task),
    )


def tried(makers: tuple, rates: tuple[float, float], settings: tuple) -> dict[str, Maker]:
    """Four settings of each game."""
    found = {}
    for name, make, (word, values) in zip(NAMES, makers, settings, strict=True):
        for rate in rates:
            for value in values:
                found[f"{name}, {word} {value}, rate {rate:g}"] = functools.partial(make, rate=rate, **{word: value})
    return found


LOSS = "loss", ("non-saturating", "saturating")
WEIGHT, CYCLE = ("weight", (1.0, 10.0)), ("cycle", (1.0, 10.0))
PLANE = (
    functools.partial(plane_joint, True),
    plane_pix2pix,
    functools.partial(plane_joint, False, cycle=0.1),
    plane_cyclegan,
)
IMAGES = (
    functools.partial(image_joint, True),
    image_pix2pix,
    functools.partial(image_joint, False, cycle=0.1),
    image_cyclegan,
)
PLANE_TRIALS = tried(PLANE, (2e-3, 5e-3), (LOSS, WEIGHT, LOSS, CYCLE))
IMAGE_TRIALS = tried(IMAGES, (5e-4, 1e-3), (LOSS, WEIGHT, LOSS, CYCLE))


def chosen(trials: dict[str, Maker], *names: str) -> dict[str, Maker]:
    """The settings that are played on, one for each game."""
    return {name: trials[f"{name}, {setting}"] for name, setting in zip(NAMES, names, strict=True)}


EXPERIMENT = plane(
    chosen(
        PLANE_TRIALS,
        "loss saturating, rate 0.005",
        "weight 10.0, rate 0.002",
        "loss non-saturating, rate 0.005",
        "cycle 10.0, rate 0.005",
    ),
    2_000,
    "",
    range(5),
)
DIGITS = chosen(
    IMAGE_TRIALS,
    "loss saturating, rate 0.001",
    "weight 10.0, rate 0.0005",
    "loss saturating, rate 0.0005",
    "cycle 10.0, rate 0.0005",
)
TRIAL = range(10, 11)
VARIANTS = {
    "trials": plane(PLANE_TRIALS, 1_000, ": trials", TRIAL),
    "digits": digits("digits", DIGITS, 2_000, "", range(5)),
    "digits-trials": digits("digits", IMAGE_TRIALS, 500, ": trials", TRIAL),
    "edges": digits("edges", DIGITS, 2_000, "", range(5)),
}
