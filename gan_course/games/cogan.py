"""Coupled GANs: one game in several domains, whose networks share layers and whose generators share the noise."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_course import objectives
from gan_course.checks import explained, instance, number, one_of, samples, whole
from gan_course.games.base import (
    Batch,
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_average,
    check_learning,
    chosen,
    constant,
    evaluating,
    follow,
    lagged,
    still,
    trying,
    zeros,
)
from gan_course.networks import Coupled
from gan_course.objectives import Objective
from gan_course.objectives.base import checked

PRIORS = ("uniform", "normal")


class Inversion(NamedTuple):
    """What `CoGAN.invert` found: a latent `(n, latent)` for each image, and its mean square error `(n,)`."""

    latents: Tensor
    errors: Tensor


class CoGAN(Game):
    r"""Generators $g_i$ and discriminators $f_i$ of several domains with layers in common (liu2016cogan).

    One noise $z$ goes into all generators, so that $(g_1(z), g_2(z), \dots)$ is a draw from a joint law; each
    discriminator sees its own domain alone, so that no pair of real samples is ever needed. With $d$ the raw scores and
    any objective in the place of the logistic one, the game is the sum of the domains' games,

    $$\max_{g}\min_{f}\; V = \sum_i \mathbb E_{x_i}[-\log f_i(x_i)] + \mathbb E_z[-\log(1 - f_i(g_i(z)))],
      \qquad f_i = \sigma(d_i),$$

    under the constraint that the generators' first layers and the discriminators' last ones are the same. Without the
    constraint any joint law with the right marginals is optimal, the product of the marginals among them. At the
    optimum of both $V = 2\log 2$ for each domain.

    Batches hold one tensor for each domain, drawn independently: `fit(game, data.Unpaired(first, second), ...)`.

    With a `classifier` on the discriminators' last hidden layer the first domain's batches come with labels,
    `data.Unpaired(data.Paired(first, labels), second)`, and the classifier learns from these alone: unsupervised domain
    adaptation. `matching` adds a term that is in the paper's code and not in the paper,
    $w\,\mathbb E_z\sum_{i>0}\|h_0(g_0(z)) - h_i(g_i(z))\|^2$ with $h_i$ the last hidden layer: the discriminators (not
    the generators) are to give the same features to the images of a pair.
    """

    def __init__(
        self,
        generators: Coupled,
        discriminators: Coupled,
        objective: str | Objective = "non-saturating",
        latent_size: int = 100,
        prior: str = "uniform",
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        average: float | None = None,
        classifier: nn.Module | None = None,
        classification: float = 1.0,
        matching: float = 0.0,
    ):
        """A game in as many domains as the networks have.

        Args:
            generators: made by `networks.couple(..., first=k)`, or by `networks.cogan_digits` and the like.
            discriminators: made by `networks.couple(..., last=l)`; scores `(n,)`.
            objective: a name that `objectives.get` knows, or an objective.
            latent_size: coordinates of a latent vector, as many as the generators were made for.
            prior: `uniform` on [−1, 1] in each coordinate, as in the paper, or `normal`.
            optimizer: makes both optimisers, or a dict with the keys `discriminator` and `generator`; Adam by default.
            rate: factor on both learning rates as a function of progress.
            average: if given, samples come from an average of the generators that keeps this share of itself.
            classifier: from the last hidden layer's features to logits `(n, classes)`.
            classification: weight of the classifier's cross entropy on the labelled domain.
            matching: $w$, weight of the matched features.

        Raises:
            ValueError: for a setting that is not allowed, and if the networks cannot take a latent vector, or one
                another's images: they are tried once when the game is made, with zeros.
        """
        super().__init__()
        for name, given, first, way in (
            ("generators", generators, True, "couple(stacks, first=k)"),
            ("discriminators", discriminators, False, "couple(stacks, last=l)"),
        ):
            instance(name, given, Coupled, f"coupled networks, made by networks.{way}")
            if given.first is not first:
                raise ValueError(f"{name} share their {'last' if first else 'first'} blocks; make them by {way}")
        if generators.domains != discriminators.domains:
            raise ValueError(
                f"there are generators of {generators.domains} domains and discriminators of {discriminators.domains}; "
                "a domain has one of each"
            )
        check_learning(optimizer, rate)
        instance("objective", objective, (str, Objective), "a name that objectives.get knows, or an Objective")
        latent_size = whole("latent_size", latent_size, most=10**6)
        one_of("prior", prior, PRIORS)
        check_average(average)
        instance("classifier", classifier, (nn.Module, type(None)), "a torch.nn.Module or None")
        self.generators, self.discriminators, self.classifier = generators, discriminators, classifier
        self.objective = objectives.get(objective) if isinstance(objective, str) else objective
        self.objective.check(discriminators)
        self.latent_size, self.prior = latent_size, prior
        self.optimizer, self.rate, self.average = optimizer or adam(), rate, average
        self.classification = number("classification", classification)
        self.matching = number("matching", matching)
        self._try()
        self.averaged = None if average is None else lagged(generators)

    def _try(self) -> None:
        """Two zeros through all networks, which changes neither them nor a random state; their errors in words."""
        with trying(self.generators, self.discriminators):
            with explained(
                f"the generators cannot take latents of latent_size={self.latent_size}",
                ". Give latent_size the number of coordinates that they were made for",
            ):
                images = self.generators(zeros(self.generators, 2, self.latent_size))
            with explained("the discriminators cannot take the generators' images", ". Make them for the same images"):
                self.discriminators(images)

    @property
    def domains(self) -> int:
        """How many domains the game is played in."""
        return self.generators.domains

    def noise(self, n: int) -> Float[Tensor, "n latent"]:
        """`n` latent vectors, each for all domains."""
        if self.prior == "uniform":
            return torch.empty(n, self.latent_size, device=self.device).uniform_(-1, 1)
        return torch.randn(n, self.latent_size, device=self.device)

    def parted(self, batch: object) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """A batch as one tensor for each domain, and the first domain's labels where there is a classifier.

        Raises:
            ValueError: for another number of domains, labels of a domain that is to have none, missing labels.
        """
        if not isinstance(batch, (tuple, list)) or len(batch) != self.domains:
            given = f"{len(batch)} parts" if isinstance(batch, (tuple, list)) else f"a {type(batch).__name__}"
            raise ValueError(
                f"a batch has {given}; it must have a tensor for each of {self.domains} domains: "
                "give fit data.Unpaired(first, second, ...)"
            )
        parts, labels = list(batch), None
        if self.classifier is not None:
            if not isinstance(parts[0], (tuple, list)) or len(parts[0]) != 2:
                raise ValueError(
                    "the classifier learns from domain 0, which came without labels: give fit "
                    "data.Unpaired(data.Paired(images, labels), ...)"
                )
            parts[0], labels = parts[0]
        for domain, part in enumerate(parts):
            if isinstance(part, (tuple, list)):
                why = "there is no classifier" if self.classifier is None else "only domain 0 is labelled"
                raise ValueError(f"labels were given to domain {domain}, but {why}: give its images alone")
            samples(**{f"the batch of domain {domain}": part})
        return tuple(parts), labels

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminators' terms, each under its name and its domain's number, from 0."""
        real, labels = self.parted(batch)
        with torch.no_grad():
            fake = self.generators(self.noise(len(real[0])))
        if not self._together():
            return self._apart(real, fake) | self._learned(real, labels, fake)
        both = [torch.cat([one, other]) for one, other in zip(real, fake, strict=True)]
        features, scores = self.discriminators.features_and_scores(both)
        terms: dict[str, Tensor] = {}
        for i, (one, other) in enumerate(zip(real, fake, strict=True)):
            on_real, on_fake = checked(scores[i], len(both[i])).split([len(one), len(other)])
            terms[f"adversarial {i}"] = self.objective.discriminator_loss(on_real, on_fake)
            for name, penalty in self.objective.penalised(self.scorer(i), one, other).items():
                terms[f"{name} {i}"] = penalty
        on_real = features[0][: len(real[0])]
        on_fake = [part[len(one) :] for part, one in zip(features, real, strict=True)]
        return terms | self._of_features(on_real, labels, on_fake)

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The generators' terms on the images of one noise, as many as the batch has of the first domain."""
        real, _ = self.parted(batch)
        fake = self.generators(self.noise(len(real[0])))
        if self._together():
            scores = self.discriminators(fake)
            return {
                f"adversarial {i}": self.objective.generator_loss(checked(one, len(fake[i])))
                for i, one in enumerate(scores)
            }
        return {
            f"{name} {i}": term
            for i in range(self.domains)
            for name, term in self.objective.for_generator(self.scorer(i), real[i], fake[i]).items()
        }

    def scorer(self, domain: int) -> Callable[[Tensor], Tensor]:
        """One domain's discriminator, as a function of its samples."""
        return lambda x: self.discriminators.only(x, domain)

    def _together(self) -> bool:
        """Whether all samples may go through the discriminators at once: to each its own score, by plain formulas."""
        kind = type(self.objective)
        plain = kind.for_discriminator is Objective.for_discriminator and kind.for_generator is Objective.for_generator
        normalised = any(isinstance(part, _BatchNorm) for part in self.discriminators.modules())
        return plain and not normalised

    def _apart(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> dict[str, Tensor]:
        return {
            f"{name} {i}": term
            for i in range(self.domains)
            for name, term in self.objective.for_discriminator(self.scorer(i), real[i], fake[i]).items()
        }

    def _learned(self, real: Sequence[Tensor], labels: Tensor | None, fake: Sequence[Tensor]) -> dict[str, Tensor]:
        on_real = self.features(real[0], 0) if labels is not None else None
        on_fake = [self.features(x, i) for i, x in enumerate(fake)] if self.matching else []
        return self._of_features(on_real, labels, on_fake)

    def _of_features(self, on_real: Tensor | None, labels: Tensor | None, on_fake: list[Tensor]) -> dict[str, Tensor]:
        terms = {}
        if labels is not None:
            terms["classification"] = self.classification * nn.functional.cross_entropy(
                self.classifier(on_real), labels
            )
        if self.matching:
            gaps = [(on_fake[0] - other).flatten(1).square().sum(1).mean() for other in on_fake[1:]]
            terms["matching"] = self.matching * torch.stack(gaps).sum()
        return terms

    def turns(self) -> list[Turn]:
        """The discriminators' turn (with the classifier), then the generators'."""
        learned = [] if self.classifier is None else [self.classifier]
        return [
            Turn(
                "discriminator",
                [self.discriminators, *learned],
                self.discriminator_loss,
                optimizer=chosen(self.optimizer, "discriminator"),
                rate=self.rate,
                after_step=lambda: self.objective.constrain(self.discriminators),
            ),
            Turn(
                "generator",
                [self.generators],
                self.generator_loss,
                optimizer=chosen(self.optimizer, "generator"),
                rate=self.rate,
                after_step=self._follow if self.average is not None else None,
            ),
        ]

    def _follow(self) -> None:
        follow(self.averaged, self.generators, self.average)

    @property
    def _drawn_from(self) -> Coupled:
        return self.generators if self.averaged is None else self.averaged

    def generate(self, latents: Float[Tensor, "n latent"]) -> tuple[Tensor, ...]:
        """The images of given latents, a batch for each domain: row by row they belong together."""
        with evaluating(self._drawn_from):
            return self._drawn_from(latents)

    def sample(self, n: int) -> tuple[Tensor, ...]:
        """`n` draws of the joint law, a batch for each domain."""
        return self.generate(self.noise(n))

    def features(self, x: Tensor, domain: int) -> Tensor:
        """The last hidden layer of one domain's discriminator, `(n, features)`."""
        for block in self.discriminators.blocks(domain)[:-1]:
            x = block(x)
        return x.flatten(1)

    def predict(self, x: Tensor, domain: int) -> Int64[Tensor, " n"]:
        """The classes of one domain's samples, by the classifier behind that domain's discriminator."""
        if self.classifier is None:
            raise ValueError("this game has no classifier; make it with classifier=nn.Linear(features, classes)")
        samples(x=x)
        with evaluating(self.discriminators, self.classifier):
            return torch.cat([self.classifier(self.features(part, domain)).argmax(1) for part in x.split(1_000)])

    def invert(self, x: Tensor, domain: int, steps: int = 50, starts: int = 4) -> Inversion:
        r"""Latents whose images in one domain come nearest to given images, by L-BFGS with a line search:

        $$z^* = \arg\min_z \|g_i(z) - x\|^2.$$

        Args:
            x: images of the domain.
            domain: its number, from 0.
            steps: of L-BFGS, at most.
            starts: draws of the prior from which each image is searched for; the best end is kept.

        Under a uniform prior latents stay inside it, as $z = \tanh u$.

        Returns:
            An `Inversion`. The search may end in a poor minimum: look at the errors.
        """
        samples(x=x)
        whole("steps", steps), whole("starts", starts)
        network = self._drawn_from
        domain = whole("domain", domain, least=0, most=self.domains - 1)
        best = None
        with evaluating(network), still(network), torch.enable_grad():
            for _ in range(starts):
                found = self._descended(network, x, domain, steps)
                if best is None:
                    best = found
                better = found.errors < best.errors
                rows = better.view(-1, 1)
                best = Inversion(
                    torch.where(rows, found.latents, best.latents), torch.where(better, found.errors, best.errors)
                )
        return best

    def _descended(self, network: Coupled, x: Tensor, domain: int, steps: int) -> Inversion:
        uniform = self.prior == "uniform"
        z = self.noise(len(x))
        place = (torch.atanh(z.clamp(-0.999, 0.999)) if uniform else z).requires_grad_()
        search = torch.optim.LBFGS([place], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

        def errors() -> Tensor:
            z = place.tanh() if uniform else place
            image = network.only(z, domain)
            if image.shape != x.shape:
                raise ValueError(
                    f"x has images of shape {tuple(x.shape[1:])}; those of domain {domain} are {tuple(image.shape[1:])}"
                )
            return (image - x).square().flatten(1)

        def closure() -> Tensor:
            search.zero_grad()
            loss = errors().sum()
            loss.backward()
            return loss

        search.step(closure)
        with torch.no_grad():
            return Inversion((place.tanh() if uniform else place).detach(), errors().mean(1))

    def transform(self, x: Tensor, source: int, target: int, steps: int = 50, starts: int = 4) -> Tensor:
        """Images of one domain as images of another: the target's image of the latent that `invert` finds."""
        source = whole("source", source, least=0, most=self.domains - 1)
        target = whole("target", target, least=0, most=self.domains - 1)
        return self.generate(self.invert(x, source, steps, starts).latents)[target]
