"""The variational Wyner model on digits that are one more, and on normal numbers whose common information is known.

`wyner`: an image of MNIST beside one of USPS whose digit is one more, both of 16 × 16 pixels. What they have in common
is the digit, and nothing else: which image of the next digit stands there is a matter of chance. The weight λ of the
common information is the only thing in which the games differ; it rises from 0 in the second half of the rounds. (With
λ from the first round on and reconstructions that weigh a twentieth, a seed of 3,500 rounds found half of the hundred
images that this one should find: P@100 0.54 for λ = 0.) Measured are

* retrieval: each MNIST image of 2,000 test pairs orders their USPS images by the cosine of the common codes; right are
  those whose digit is one more. P@100 and mAP;
* what a linear classifier reads off the common code, and off the local one, which should not tell;
* conditional generation, both ways, and joint generation: is the digit one more, or one less, or do both fit? Digits
  are read by a logistic regression on the shipped LeNet's features, trained on the domain's own images; its accuracy on
  test images is among the marks, as are pairs of different rows;
* the Fréchet distance of generated images to test images in these features, and what the game's own ratio says of
  I(X, Y; Z), in nats, through its noise.

`wyner-gaussian`: two normal numbers with correlation 0.8. All maps are linear, the joint encoder draws its code, and
the ratios are quadratic, which is exact, so that only sampling stands between the game and the closed form. The game
begins in a model that fits the pair perfectly and knows too much of it, 1.27 nats where log 3 = 1.10 suffice. λ falls
from 1 to its value in the first half of the rounds: a small one alone would take far longer. I(X, Y; Z) is computed
from the decoders' weights. Beside it stands where the same game rests if every expectation is exact.

`wyner-sketchy`: the published task, for whoever has the features: photographs are to be found by sketches of classes
that no game was trained on. It reads `sketchy/sketches.npz` and `sketchy/photographs.npz` in the folder of
`GAN_COURSE_DATA`, each with the arrays `features` (n, d), `classes` (n,) and `held_out` (n,), true for the classes that
are searched. The published features are those of a VGG network, of 512 coordinates. The pairs are drawn anew for each
seed: each sketch beside a photograph of its class.

The networks are narrow, for two cores. The authors' are convolutional, of 32 to 256 channels, and play 100 epochs.
"""

import functools
import itertools
import math

import numpy
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from gan_course import data, games, metrics, networks
from gan_course.data import store
from gan_course.errors import DataUnavailable
from gan_course.headlines import Experiment, Play

# --- Digits that are one more --------------------------------------------------------------------------------------

SIZE, COMMON, LOCAL, WIDE = 16, 16, 8, 256
QUERIES, READ_FROM = 2_000, 5_000
WEIGHTS = (0.0, 0.1, 0.3, 1.0)


@functools.cache
def digits(split: str) -> data.pairs.LabelledPairs:
    """The pairs; which images meet is the same for every seed."""
    return data.pairs.digits("usps", split, size=SIZE)


def enlarged(images: Tensor) -> Tensor:
    """As the LeNet wants them."""
    return nn.functional.interpolate(images.cpu(), (28, 28), mode="bilinear").clamp(0, 1)


@functools.cache
def reader(domain: int) -> LogisticRegression:
    """Tells the digits of a domain."""
    train = digits("train")
    images, labels = (train.first, train.second)[domain][:READ_FROM], train.labels[domain][:READ_FROM]
    classifier = LogisticRegression(max_iter=2_000, C=0.1)
    return classifier.fit(metrics.digit_features(enlarged(images)).numpy(), labels.numpy())


def read(domain: int, images: Tensor) -> Tensor:
    """The digits of images."""
    return torch.as_tensor(reader(domain).predict(metrics.digit_features(enlarged(images)).numpy()))


def leaky() -> nn.Module:
    """The activation of encoders and judges."""
    return nn.LeakyReLU(0.2)


def normalised(*sizes: int) -> list[nn.Module]:
    """Linear layers with batch normalisation."""
    layers = []
    for inside, outside in itertools.pairwise(sizes):
        layers += [nn.Linear(inside, outside), nn.BatchNorm1d(outside), leaky()]
    return layers


def seeing(outputs: int) -> nn.Module:
    """An encoder of images."""
    return nn.Sequential(nn.Flatten(), *normalised(SIZE**2, WIDE), nn.Linear(WIDE, outputs))


def painter() -> nn.Module:
    """Codes to images."""
    last = [nn.Linear(WIDE, SIZE**2), nn.Sigmoid(), nn.Unflatten(1, (1, SIZE, SIZE))]
    return nn.Sequential(*normalised(COMMON + LOCAL, WIDE, WIDE), *last)


def features() -> nn.Module:
    """What the ratios see of an image."""
    return nn.Sequential(nn.Flatten(), networks.mlp(SIZE**2, [WIDE], WIDE // 2, leaky), leaky())


class Rising(games.VariationalWyner):
    """The pairs first, and from the middle of the training on more and more of the common information's weight."""

    def model_loss(self, batch: games.base.Batch) -> dict[str, Tensor]:
        """The terms; those of the information times a factor that rises from 0 to 1 in the second half."""
        now = max(0.0, 2 * self.progress - 1)
        return {name: term * now if "information" in name else term for name, term in super().model_loss(batch).items()}


def game(weight: float) -> games.VariationalWyner:
    """One weight of the common information."""
    half = WIDE // 2
    head = functools.partial(networks.mlp, hidden=[half], activation=leaky)
    return Rising(
        networks.Towers(head(2 * half, outputs=COMMON), seeing(half), seeing(half)),
        networks.Towers(head(COMMON + half, outputs=LOCAL), None, seeing(half)),
        networks.Towers(head(COMMON + half, outputs=LOCAL), None, seeing(half)),
        painter(),
        painter(),
        seeing(COMMON),
        seeing(COMMON),
        COMMON,
        LOCAL,
        LOCAL,
        common_information=dict.fromkeys(("model", "x to y", "y to x"), weight),
        reconstructions=dict.fromkeys(("x", "y", "x from y", "y from x"), 1.0),
        ratio=lambda inputs: networks.mlp(inputs, [WIDE]),
        x_features=features(),
        y_features=features(),
        optimizer={"ratios": games.adam(4e-3, betas=(0.5, 0.99)), "model": games.adam(2e-3, betas=(0.5, 0.99))},
        rate=games.linear_decay,
        average=0.99,
    )


PRECISION, MEAN_PRECISION = "retrieval of USPS by MNIST: P@100", "retrieval of USPS by MNIST: mAP"


def retrieval(queries: Tensor, gallery: Tensor, labels: Tensor) -> metrics.Retrieval:
    """Of the gallery's images, which are as many and have the same labels row by row."""
    return metrics.retrieval(queries, gallery, labels, labels, k=min(100, len(labels)))


def measure(player: games.VariationalWyner) -> dict[str, float]:
    """Everything of a game."""
    train, test = digits("train"), digits("test")
    x, y = (images[:QUERIES] for images in (test.first, test.second))
    labels = [of[:QUERIES] for of in test.labels]
    known = [player.encode(x=train.first[:READ_FROM]), player.encode(y=train.second[:READ_FROM])]
    found = [player.encode(x=x), player.encode(y=y)]
    retrieved = retrieval(found[0].z, found[1].z, labels[1])
    figures = {PRECISION: retrieved.precision, MEAN_PRECISION: retrieved.mean_average_precision}
    for domain, name in enumerate(("MNIST", "USPS")):
        for code in ("common", "local"):
            codes = [(c.z if code == "common" else (c.u, c.v)[domain]) for c in (known[domain], found[domain])]
            told = metrics.latent_accuracy(codes[0], train.labels[domain][:READ_FROM], codes[1], labels[domain])
            figures[f"digit read off the {code} code of {name}, %"] = 100 * told.accuracy
    made, back, both = player.translate(x=x).y, player.translate(y=y).x, player.sample(4_000)
    figures |= {
        "MNIST to USPS: the digit is one more, %": share(read(1, made) == labels[1]),
        "USPS to MNIST: the digit is one less, %": share(read(0, back) == labels[0]),
        "pairs from the prior: the digit is one more, %": share((read(0, both.x) + 1) % 10 == read(1, both.y)),
        "Fréchet distance, MNIST (LeNet features)": distance(both.x, test.first[:4_000]),
        "Fréchet distance, USPS (LeNet features)": distance(both.y, test.second[:4_000]),
    }
    told = player.estimates(x, y)
    return figures | {f"estimated {name}, nats": told[name] for name in told if name == "information, model"}


def share(right: Tensor) -> float:
    """Per cent."""
    return 100 * float(right.float().mean())


def distance(images: Tensor, test: Tensor) -> float:
    """Of generated to real images."""
    return metrics.frechet_digits(enlarged(images), enlarged(test))


def marks() -> dict[str, float]:
    """The readers' accuracy, chance, real images against real images."""
    train, test = digits("train"), digits("test")
    x, y = (images[:QUERIES] for images in (test.first, test.second))
    labels = [of[:QUERIES] for of in test.labels]
    figures = {}
    for domain, (name, images) in enumerate((("MNIST", x), ("USPS", y))):
        figures[f"real {name}: digit read rightly, %"] = share(read(domain, images) == labels[domain])
        other = (train.first, train.second)[domain][:4_000]
        figures[f"real against real {name}: Fréchet distance (LeNet features)"] = distance(
            other, (test.first, test.second)[domain][:4_000]
        )
    figures["real pairs: the digit is one more, %"] = share((read(0, x) + 1) % 10 == read(1, y))
    figures["real images of different pairs: the digit is one more, %"] = share(
        (read(0, x) + 1) % 10 == read(1, y.roll(1, 0))
    )
    order = torch.randn(len(x), COMMON, generator=torch.Generator().manual_seed(0))
    by_chance = retrieval(order, order.flip(0), labels[1])
    figures |= {
        "a random order: P@100": by_chance.precision,
        "a random order: mAP": by_chance.mean_average_precision,
    }
    return figures


EXPERIMENT = Experiment(
    title="The variational Wyner model: MNIST and USPS digits that are one more",
    chapter="25_wyner",
    seeds=range(2),
    games={f"λ = {weight:g}": Play(functools.partial(game, weight), 2_500, 64) for weight in WEIGHTS},
    data=lambda: digits("train").pairs,
    measure=measure,
    marks=marks,
)


# --- Sketches and photographs --------------------------------------------------------------------------------------


@functools.cache
def sketchy() -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Features, classes, and which classes are held out, of sketches and of photographs."""
    folder, found = store.data_folder(None), {}
    for name in ("sketches", "photographs"):
        file = folder / "sketchy" / f"{name}.npz" if folder else None
        if file is None or not file.is_file():
            raise DataUnavailable(
                f"{file or f'sketchy/{name}.npz'} is not on this machine; it holds the arrays features (n, d), classes "
                "(n,) and held_out (n,). Set GAN_COURSE_DATA to the folder that holds sketchy"
            )
        with numpy.load(file) as arrays:
            features, classes, held_out = (torch.as_tensor(arrays[key]) for key in ("features", "classes", "held_out"))
        found[name] = (features.float(), classes.long(), held_out.bool())
    return found


def sketchy_pairs(seed: int) -> data.Pairs:
    """Each sketch of a class that is trained on beside a photograph of it."""
    (x, x_classes, x_out), (y, y_classes, y_out) = sketchy().values()
    generator = torch.Generator().manual_seed(seed)
    x, x_classes, y, y_classes = x[~x_out], x_classes[~x_out], y[~y_out], y_classes[~y_out]
    partners = torch.empty_like(x_classes)
    for one in x_classes.unique():
        of_class = (y_classes == one).nonzero()[:, 0]
        asked = x_classes == one
        partners[asked] = of_class[torch.randint(len(of_class), (int(asked.sum()),), generator=generator)]
    return data.Pairs(x, y[partners])


def of_features(weight: float) -> games.VariationalWyner:
    """Maps of vectors, in the authors' sizes of codes, four times as wide as those of digits."""
    size, wide = sketchy()["sketches"][0].shape[1], 4 * WIDE
    map_of = functools.partial(networks.mlp, hidden=[wide], activation=leaky)
    reading = [
        networks.Towers(map_of(given + size, outputs=code), None, None)
        for given, code in ((size, COMMON), (COMMON, LOCAL), (COMMON, LOCAL))
    ]
    return games.VariationalWyner(
        *reading,
        *(map_of(COMMON + LOCAL, outputs=size) for _ in "xy"),
        *(map_of(size, outputs=COMMON) for _ in "xy"),
        COMMON,
        LOCAL,
        LOCAL,
        common_information=weight,
        reconstructions=dict.fromkeys(("x", "y", "x from y", "y from x"), 1.0),
        ratio=lambda inputs: networks.mlp(inputs, [wide], None, leaky),
        x_features=nn.Sequential(map_of(size, outputs=WIDE), leaky()),
        y_features=nn.Sequential(map_of(size, outputs=WIDE), leaky()),
        optimizer=games.adam(1e-4),
        average=0.999,
    )


SEARCH = "zero-shot retrieval of photographs by sketches: "


def search(player: games.VariationalWyner) -> dict[str, float]:
    """Among the classes that are held out."""
    (x, x_classes, x_out), (y, y_classes, y_out) = sketchy().values()
    codes = player.encode(x=x[x_out]).z.cpu(), player.encode(y=y[y_out]).z.cpu()
    found = metrics.retrieval(*codes, x_classes[x_out], y_classes[y_out], k=min(100, int(y_out.sum())))
    return {SEARCH + "P@100": found.precision, SEARCH + "mAP": found.mean_average_precision}


# --- Two normal numbers --------------------------------------------------------------------------------------------

CORRELATION, KNOWS_TOO_MUCH, SEEN_THROUGH = 0.8, 0.95, 0.25
CURVE = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
COVARIANCE = torch.tensor([[1.0, CORRELATION], [CORRELATION, 1.0]])


class Quadratic(nn.Module):
    """A quadratic form and a constant, 0 at first: the log ratio of two centred normal laws."""

    def __init__(self, inputs: int):
        super().__init__()
        self.form, self.shift = nn.Parameter(torch.zeros(inputs, inputs)), nn.Parameter(torch.zeros(()))

    def forward(self, s: Tensor) -> Tensor:
        """One number for each row."""
        return (s @ self.form * s).sum(1) + self.shift


class Lowered(games.VariationalWyner):
    """The weight of the common information falls from 1 to its value, and stays there for the second half."""

    def model_loss(self, batch: games.base.Batch) -> dict[str, Tensor]:
        """The terms, with the weight of now."""
        terms, name = super().model_loss(batch), "information, model"
        if name in terms:
            terms[name] = terms[name] * self.weights[name] ** (min(1, 2 * self.progress) - 1)
        return terms


def line(*weights: float) -> nn.Linear:
    """Numbers side by side to one number."""
    layer = nn.Linear(len(weights), 1, bias=False)
    layer.weight.data = torch.tensor([weights])
    return layer


def linear(weight: float) -> Lowered:
    r"""All maps linear, at the model $x = az + bu$, $y = cz + dv$ with $ac = \rho$, and its exact codes."""
    a, c = KNOWS_TOO_MUCH, CORRELATION / KNOWS_TOO_MUCH
    b, d = math.sqrt(1 - a**2), math.sqrt(1 - c**2)
    loads = torch.tensor([a, c])
    of_pair = torch.linalg.solve(COVARIANCE, loads)
    spread = float((1 - of_pair @ loads).sqrt())
    return Lowered(
        networks.Towers(networks.Noisy(line(*of_pair.tolist(), spread), 1), None, None),
        networks.Towers(line(-a / b, 1 / b), None, None),
        networks.Towers(line(-c / d, 1 / d), None, None),
        line(a, b),
        line(c, d),
        common_size=1,
        u_size=1,
        v_size=1,
        common_information=weight,
        noise=SEEN_THROUGH,
        ratio=Quadratic,
        ratio_steps=2,
        optimizer={"ratios": games.adam(5e-2, betas=(0.5, 0.99)), "model": games.adam(2e-2, betas=(0.5, 0.99))},
        rate=games.linear_decay,
        average=0.99,
    )


def model_law(maps: nn.ModuleDict) -> Tensor:
    """The covariance of the model's (x, y, z)."""
    (a, b), (c, d) = (maps[name].weight[0].detach().cpu().double() for name in ("x_decoder", "y_decoder"))
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    forms = torch.stack([torch.stack(row) for row in ((a, b, zero), (c, zero, d), (one, zero, zero))])
    return forms @ forms.T


def known(player: games.VariationalWyner) -> dict[str, float]:
    """What follows from the weights."""
    law = model_law(player.in_use)
    return {
        "I(X, Y; Z) of the model, nats": metrics.gaussian_mutual_information(law, 2),
        "correlation of the model's pair": float(law[0, 1] / (law[0, 0] * law[1, 1]).sqrt()),
    }


def resting(steps: int = 1_200) -> dict[float, float]:
    """I(X, Y; Z) where the game rests if the ratios are exact and all expectations are, by their closed forms.

    λ falls through the curve, and each of its values begins where the one before came to rest; only the first has a
    long way, and all the steps.
    """
    maps, found = linear(0.0).double().maps, {}
    for weight in sorted(CURVE[1:], reverse=True):
        optimizer = torch.optim.Adam(maps.parameters(), 2e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            p, q = laws(maps)
            joint = divergence(p, q.detach()) + divergence(q, p.detach())  # each side descends its own half
            information = divergence(q[:3, :3], torch.block_diag(q[:2, :2], q[2:3, 2:3]))
            optimizer.zero_grad()
            (joint + weight * information).backward()
            optimizer.step()
            schedule.step()
        steps = min(steps, 300)
        found[weight] = metrics.gaussian_mutual_information(model_law(maps), 2)
    return found


def laws(maps: nn.ModuleDict) -> tuple[Tensor, Tensor]:
    """The covariances of (x, y, z, u, v), of the data and of the model, as the ratios see them."""
    eye = torch.eye(3).double()
    (x, y, drawn), base = eye, torch.block_diag(COVARIANCE.double(), torch.ones(1, 1).double())
    z = maps["joint_encoder"].head.network.weight[0] @ torch.stack([x, y, drawn])
    u, v = (maps[f"{code}_encoder"].head.weight[0] @ torch.stack([z, part]) for code, part in (("u", x), ("v", y)))
    of_data = torch.stack([x, y, z, u, v])
    z, u, v = eye
    made = [maps[f"{part}_decoder"].weight[0] @ torch.stack([z, local]) for part, local in (("x", u), ("y", v))]
    of_model = torch.stack([*made, z, u, v])
    noise = SEEN_THROUGH**2 * torch.eye(5).double()
    return of_data @ base @ of_data.T + noise, of_model @ of_model.T + noise


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL of centred normal laws with these covariances."""
    return (torch.trace(torch.linalg.solve(q, p)) - len(p) + torch.logdet(q) - torch.logdet(p)) / 2


def bounds() -> dict[str, float]:
    """What the pair has in common, where the game begins, and where it rests."""
    at_rest = resting()
    return {f"λ = {w:g}, at rest: I(X, Y; Z) of the model, nats": at_rest[w] for w in CURVE[1:]} | {
        "Wyner's common information, nats": metrics.gaussian_common_information(CORRELATION),
        "I(X; Y), nats": metrics.gaussian_mutual_information(COVARIANCE, 1),
        "I(X, Y; Z) at the beginning, nats": metrics.gaussian_mutual_information(model_law(linear(0.0).maps), 2),
    }


def normal_pairs(seed: int) -> data.Pairs:
    """50,000 pairs."""
    normal = torch.randn(50_000, 2, generator=torch.Generator().manual_seed(seed))
    return data.Pairs(*(normal @ torch.linalg.cholesky(COVARIANCE).T).split(1, 1))


VARIANTS = {
    "gaussian": Experiment(
        title="The variational Wyner model: two normal numbers with correlation 0.8",
        chapter="25_wyner",
        seeds=range(5),
        games={f"λ = {weight:g}": Play(functools.partial(linear, weight), 3_000, 1_000) for weight in CURVE},
        data=normal_pairs,
        measure=known,
        marks=bounds,
    ),
    "sketchy": Experiment(
        title="The variational Wyner model: photographs found by sketches of new classes",
        chapter="25_wyner",
        seeds=range(3),
        games={f"λ = {weight:g}": Play(functools.partial(of_features, weight), 50_000, 64) for weight in (0.0, 0.1)},
        data=sketchy_pairs,
        measure=search,
        published={
            f"λ = 0.1: {SEARCH}{name}": {"value": value, "source": "ryu2022wyner"}
            for name, value in (("P@100", "0.703"), ("mAP", "0.629"))
        },
    ),
}
