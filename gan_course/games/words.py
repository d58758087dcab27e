"""Games of words: maximum likelihood, policy gradients for any reward, and discriminators as the reward."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gan_course import objectives
from gan_course.checks import instance, number, one_of, whole
from gan_course.games.base import (
    Batch,
    Game,
    OptimizerFactory,
    Turn,
    adam,
    check_learning,
    check_parts,
    chosen,
    constant,
    evaluating,
    follow,
    lagged,
)
from gan_course.networks.recurrent import SequenceGenerator, check_tokens
from gan_course.objectives import Objective, policy_gradient
from gan_course.objectives.base import checked

VALUES = ("rollouts", "sentence", "beginnings")
BASELINES = ("mean", "greedy")
REWARDS = {"probability": torch.sigmoid, "score": lambda scores: scores}
SCORED_AT_ONCE = 4096  # rollouts that a discriminator sees in one pass: all of them would fill the memory


class SequenceGame(Game):
    """What games of words have in common: a generator, and batches of sequences, or of histories with replies.

    Batches are tensors (n, T) of words. For a conditional generator they are pairs, from
    `data.Paired(histories, replies)`.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None,
        rate: Callable[[float], float],
    ):
        """`generator`, `optimizer`, `rate`: as in the games."""
        super().__init__()
        allowed = "a generator of sequences, such as networks.RecurrentGenerator"
        instance("generator", generator, SequenceGenerator, allowed)
        check_learning(optimizer, rate)
        self.generator, self.optimizer, self.rate = generator, optimizer or adam(1e-3, betas=(0.9, 0.999)), rate

    def parted(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """A batch as sequences, and the histories that they answer to where the generator is conditional.

        On an accelerator only the words of the first batch are looked at, as each look makes it wait.

        Raises:
            ValueError: where it is none, or holds words outside the vocabulary.
        """
        pair = isinstance(batch, (tuple, list))
        if self.generator.conditional != pair or (pair and len(batch) != 2):
            asked = "data.Paired(histories, replies)" if self.generator.conditional else "a tensor of words (n, length)"
            raise ValueError(f"{type(self).__name__} with a {type(self.generator).__name__} learns from {asked}")
        condition, tokens = batch if pair else (None, batch)
        words, look = self.generator.vocabulary, self.to_look(tokens)
        check_tokens("the batch", tokens, words, self.generator.length, self.generator.padding, look)
        if pair:
            check_tokens("condition", condition, words, look=look)
        if look:
            self.looked_at()
        return tokens, condition

    def nll(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, ""]:
        """Nats per word of given sequences."""
        found = self.generator.log_probabilities(tokens, condition)
        return -found.sum() / self.generator.counted(tokens).sum()

    def sample(self, n: int, condition: Tensor | None = None) -> Int64[Tensor, "n t"]:
        """`n` sequences; of a conditional generator one reply to each history given."""
        with evaluating(self.generator):
            return self.generator.sample(n, condition)


class MaximumLikelihood(SequenceGame):
    r"""A generator that learns the data's next words by heart: no opponent at all.

    $$\mathcal L = -\frac{\sum_i\sum_t\log G_\theta(y^i_t\mid Y^i_{1:t-1})}{\sum_i T_i},$$

    nats per word, with the data's own words before each (teacher forcing). Every game of words begins with it
    (yu2017seqgan): a generator that writes noise teaches its judge nothing.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """A game of one.

        Args:
            generator: of sequences.
            optimizer: makes the optimiser; Adam with a rate of 0.001 by default, the paper has 0.01.
            rate: factor on the learning rate as a function of progress.
        """
        super().__init__(generator, optimizer, rate)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Nats per word."""
        return {"nll": self.nll(*self.parted(batch))}

    def turns(self) -> list[Turn]:
        """The generator's turn."""
        return [Turn("generator", [self.generator], self.loss, 1, chosen(self.optimizer, "generator"), self.rate)]


class PolicyGradient(SequenceGame):
    r"""A generator against a reward that somebody has written down: $\max_\theta\mathbb E_{Y\sim G_\theta}R(Y)$.

    One reward per sentence, by `objectives.policy_gradient.reinforce` (williams1992simple). Of the batches only the
    histories are used, and how many there are. The buffer `reward` holds the last mean reward, which `fit` records.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        reward: Callable[..., Tensor],
        baseline: str | None = "mean",
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """A game of one, for a reward.

        Args:
            generator: of sequences.
            reward: from sequences `(n, T)`, or from histories and replies, to numbers `(n,)`.
            baseline: `mean`, of the other samples in the batch; `greedy`, the reward of the likeliest sentence
                (self-critical); or None.
            optimizer: makes the optimiser.
            rate: factor on the learning rate as a function of progress.
        """
        super().__init__(generator, optimizer, rate)
        instance("reward", reward, Callable, "a function of sequences that returns a number for each")
        self.reward_function, self.baseline = reward, _baseline(baseline)
        self.register_buffer("reward", torch.zeros(()))

    def rewards(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, " n"]:
        """The reward of each sequence. Raises ValueError if the function returns anything else."""
        with torch.no_grad():
            found = self.reward_function(tokens) if condition is None else self.reward_function(condition, tokens)
        return _rewards(found, len(tokens))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The policy gradient's loss."""
        real, condition = self.parted(batch)
        tokens = self.generator.sample(len(real), condition)
        rewards = self.rewards(tokens, condition)
        self.reward.copy_(rewards.mean())
        baseline = 0.0
        if self.baseline == "mean":
            baseline = policy_gradient.leave_one_out(rewards)[:, None]
        elif self.baseline == "greedy":
            baseline = self.rewards(self.generator.greedy(len(real), condition), condition)[:, None]
        log_probabilities = self.generator.log_probabilities(tokens, condition)
        values = rewards[:, None].expand_as(log_probabilities)
        return {"policy": policy_gradient.reinforce(log_probabilities, values, baseline)}

    def turns(self) -> list[Turn]:
        """The generator's turn."""
        return [Turn("generator", [self.generator], self.loss, 1, chosen(self.optimizer, "generator"), self.rate)]


class TwoAgents(Game):
    r"""Two generators that talk to each other, and a rule that judges the talk (lee2018slides).

    A batch holds opening lines. The second agent answers, the first answers that, and so on; for the whole dialogue
    there is one reward, and both learn from it by REINFORCE, with the mean of the other dialogues as the baseline.
    """

    def __init__(
        self,
        first: SequenceGenerator,
        second: SequenceGenerator,
        reward: Callable[[Tensor], Tensor],
        exchanges: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """A game of two who have one aim.

        Args:
            first: who writes the third line, the fifth and so on; conditional, such as `networks.EncoderDecoder`.
            second: who answers the opening; may be the same network.
            reward: from dialogues `(n, 1 + 2 * exchanges, T)` to numbers `(n,)`.
            exchanges: how often both speak.
            optimizer: makes the one optimiser of both.
            rate: factor on the learning rate as a function of progress.
        """
        super().__init__()
        for name, agent in (("first", first), ("second", second)):
            instance(name, agent, SequenceGenerator, "a conditional generator, such as networks.EncoderDecoder")
            if not agent.conditional:
                raise ValueError(f"{name} takes no condition, so it cannot answer; give a networks.EncoderDecoder")
        _same_words("first", first, "second", second)
        instance("reward", reward, Callable, "a function of dialogues that returns a number for each")
        check_learning(optimizer, rate)
        self.first, self.second, self.reward_function = first, second, reward
        self.exchanges = whole("exchanges", exchanges, most=1000)
        self.optimizer, self.rate = optimizer or adam(1e-3, betas=(0.9, 0.999)), rate
        self.register_buffer("reward", torch.zeros(()))

    def talk(self, openings: Int64[Tensor, "n t"]) -> Int64[Tensor, "n lines t"]:
        """Dialogues that begin with the lines given; on an accelerator only the first ones are looked at."""
        agent, look = self.first, self.to_look(openings)
        check_tokens("openings", openings, agent.vocabulary, agent.length, agent.padding, look)
        if look:
            self.looked_at()
        lines = [openings]
        for _ in range(self.exchanges):
            for agent in (self.second, self.first):
                lines.append(agent.sample(len(openings), lines[-1]))
        return torch.stack(lines, 1)

    def loss(self, openings: Batch) -> dict[str, Tensor]:
        """The policy gradient's loss of all that both have said."""
        lines = self.talk(openings)
        with torch.no_grad():
            rewards = self.reward_function(lines)
        rewards = _rewards(rewards, len(openings))
        self.reward.copy_(rewards.mean())
        said = [
            (self.second, self.first)[i % 2].log_probabilities(lines[:, i + 1], lines[:, i])
            for i in range(2 * self.exchanges)
        ]
        log_probabilities = torch.cat(said, 1)
        values = rewards[:, None].expand_as(log_probabilities)
        baseline = policy_gradient.leave_one_out(rewards)[:, None]
        return {"policy": policy_gradient.reinforce(log_probabilities, values, baseline)}

    def turns(self) -> list[Turn]:
        """The one turn of both."""
        return [Turn("agents", [self.first, self.second], self.loss, 1, chosen(self.optimizer, "agents"), self.rate)]


class Negatives(nn.Module):
    """Generated sequences that a discriminator sees several times, as in yu2017seqgan, before new ones are drawn.

    They are handed out in batches, in a new order in each pass; the last batch of a pass is filled up from its
    beginning. Kept in buffers, so that a checkpoint holds them.
    """

    def __init__(self, size: int, length: int, passes: int):
        """`size`: sequences that are kept; `length`: words of each; `passes`: over all of them until new ones come."""
        super().__init__()
        self.size, self.passes = whole("pool", size, most=10**7), whole("passes", passes)
        self.register_buffer("kept", torch.zeros(size, length, dtype=torch.int64))
        self.register_buffer("handed", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, n: int, draw: Callable[[int], Tensor]) -> Int64[Tensor, "n t"]:
        """`n` of them; `draw(m)` makes `m` new ones. Raises ValueError if there are fewer than `n`."""
        if n > self.size:
            raise ValueError(f"pool={self.size} was given for batches of {n}; keep at least one batch of negatives")
        in_a_pass = -(-self.size // n)
        handed = int(self.handed) % (self.passes * in_a_pass)
        if handed == 0:
            self.kept.copy_(torch.cat([draw(len(part)) for part in self.kept.split(SCORED_AT_ONCE)]))
        if handed % in_a_pass == 0:
            self.kept.copy_(self.kept[torch.randperm(self.size, device=self.kept.device)])
        rows = torch.arange(n, device=self.kept.device) + handed % in_a_pass * n
        self.handed.fill_(handed + 1)
        return self.kept[rows % self.size]


class SeqGAN(SequenceGame):
    r"""A generator of words whose reward is what the discriminator thinks of them (yu2017seqgan).

    $$\max_\theta\ \mathbb E_{Y\sim G_\theta}\,D_\phi(Y), \qquad
      \max_\phi\ \mathbb E_p\log D_\phi(Y) + \mathbb E_{G_\theta}\log(1 - D_\phi(Y)).$$

    The generator moves by the policy gradient with $Q(Y_{1:t})$, what a word led to, estimated in one of three ways:

    * `rollouts`: the mean reward of `rollouts` continuations by a lagged copy $G_\beta$ of the generator; the whole
      sentence's own reward for the last word. After each step $\beta\leftarrow k\beta + (1 - k)\theta$; with a `keep`
      of 0 it is the current policy, and the estimate unbiased;
    * `sentence`: the whole sentence's reward for every word;
    * `beginnings`: the judge scores beginnings itself (REGS, li2017adversarial). It learns from one beginning of
      random length of each sequence.

    Rewards are given in evaluation mode: dropout would be noise in them. A round is `discriminator_steps` steps of the
    discriminator, each with fakes drawn for it, and then those of the generator. The paper has 1 of these after 15
    passes over 10,000 sequences, in batches of 64, with new fakes for every three: `discriminator_steps=15 * 157`,
    `pool=10_000`.

    Train the generator by `MaximumLikelihood` first and make this game after that, since the lagged copy is taken here
    (or call `catch_up`); then let the judge learn alone, `fit(game, ..., players=["discriminator"])`. The buffer
    `reward` holds the last mean reward of whole sentences, which `fit` records.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        discriminator: nn.Module,
        objective: str | Objective = "minimax",
        values: str = "rollouts",
        rollouts: int = 16,
        keep: float = 0.8,
        reward: str = "probability",
        baseline: str | nn.Module | None = None,
        teacher: float = 0.0,
        decay: float = 0.0,
        discriminator_steps: int = 5,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
        pool: int = 0,
        passes: int = 3,
    ):
        """A game of two about words.

        Args:
            generator: of sequences.
            discriminator: from sequences to scores `(n,)`, such as `networks.SequenceCNN`; for `beginnings` with a
                method of that name, such as `networks.PrefixDiscriminator`.
            objective: the discriminator's: a name that `objectives.get` knows, or an objective without penalties and
                distances, for which words are too far apart.
            values: `rollouts`, `sentence` or `beginnings`.
            rollouts: continuations of each beginning; the paper has 16.
            keep: share of itself that the lagged copy keeps in a step; the paper has 0.8, and copies the embedding.
            reward: `probability`, the sigmoid of the score, as in the paper; or the `score` itself.
            baseline: None, as in the paper; `mean`, of the other samples; `greedy`, what the likeliest sentence gets;
                or a network with `beginnings`, which learns beside the generator what a beginning is worth.
            teacher: weight of the real sequences' negative log-likelihood in the generator's loss.
            decay: weight of half the squared norm of the discriminator's last layer, `head`; the paper has 0.2.
            discriminator_steps: in a round.
            generator_steps: in a round.
            optimizer: makes both optimisers, or a dict with the keys `generator` and `discriminator`. The paper has
                `{"generator": clipped(adam(0.01, (0.9, 0.999)), 5.0), "discriminator": adam(1e-4, (0.9, 0.999))}`.
            rate: factor on both learning rates as a function of progress.
            pool: fakes that are drawn at once for the discriminator and kept; the paper has 10,000. 0: new ones for
                every step.
            passes: of the discriminator over a pool before the next one is drawn; the paper has 3.
        """
        super().__init__(generator, optimizer, rate)
        check_parts(discriminator=discriminator)
        _same_words("generator", generator, "discriminator", discriminator)
        instance("objective", objective, (str, Objective), "a name that objectives.get knows, or an Objective")
        self.objective = objectives.get(objective) if isinstance(objective, str) else objective
        if self.objective.penalties or type(self.objective).for_discriminator is not Objective.for_discriminator:
            raise ValueError(
                f"objective {self.objective.name!r} takes slopes in samples, or distances between them; words have "
                "neither: choose one of scores only, such as minimax"
            )
        self.values = one_of("values", values, VALUES)
        if values == "beginnings" and not callable(getattr(discriminator, "beginnings", None)):
            raise ValueError("values='beginnings' needs a discriminator with beginnings(): PrefixDiscriminator")
        self.rollouts = whole("rollouts", rollouts)
        self.keep = number("keep", keep, most=1)
        self.reward_of = REWARDS[one_of("reward", reward, REWARDS)]
        critic = baseline if isinstance(baseline, nn.Module) else None
        if critic is not None and not callable(getattr(critic, "beginnings", None)):
            raise ValueError("baseline is a network without beginnings(); give a networks.PrefixDiscriminator")
        self.critic, self.baseline = critic, _baseline(baseline) if critic is None else "critic"
        self.teacher, self.decay = number("teacher", teacher), number("decay", decay)
        if self.decay and not isinstance(getattr(discriminator, "head", None), nn.Module):
            raise ValueError(f"decay={decay} needs a discriminator with a last layer called head; leave it at 0")
        self.discriminator_steps = whole("discriminator_steps", discriminator_steps)
        self.generator_steps = whole("generator_steps", generator_steps)
        self.discriminator, self.lagged = discriminator, lagged(generator)
        whole("pool", pool, least=0)
        if pool and generator.conditional:
            raise ValueError(f"pool={pool} was given; replies belong to the histories of their batch: leave it at 0")
        self.negatives = Negatives(pool, generator.length, whole("passes", passes)) if pool else None
        self.register_buffer("reward", torch.zeros(()))

    def scores(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, " n"]:
        """The discriminator's score of each sequence."""
        return checked(self.discriminator(tokens), len(tokens))

    def rewards(
        self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None, real: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """The reward of each whole sequence: in evaluation mode, in parts, without gradient."""
        parts = tokens.split(SCORED_AT_ONCE)
        conditions = [None] * len(parts) if condition is None else condition.split(SCORED_AT_ONCE)
        with evaluating(self.discriminator):
            found = [self.reward_of(self.scores(*pair)) for pair in zip(parts, conditions, strict=True)]
        return torch.cat(found)

    def values_of(
        self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None, real: Tensor | None = None
    ) -> Float[Tensor, "n t"]:
        """What each word led to, $Q(Y_{1:t})$."""
        n, length = tokens.shape
        if self.values == "beginnings":
            with evaluating(self.discriminator):
                return self.reward_of(self.discriminator.beginnings(tokens))
        final = self.rewards(tokens, condition, real)
        if self.values == "sentence":
            return final[:, None].expand(-1, length)
        continued = self.lagged.rollouts(tokens, self.rollouts, condition)
        repeated = None if condition is None else condition.repeat_interleave((length - 1) * self.rollouts, 0)
        if length == 1:
            return final[:, None]
        found = self.rewards(continued.flatten(0, 2), repeated, real).view(n, length - 1, self.rollouts)
        return policy_gradient.rollout_values(found, final)

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The discriminator's terms, with fakes drawn for it, or kept for it."""
        real, condition = self.parted(batch)
        if self.negatives is None:
            fake = self.generator.sample(len(real), condition)
        else:
            fake = self.negatives(len(real), self.generator.sample)
        return self.judged(real, fake, condition) | self._decayed()

    def judged(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> dict[str, Tensor]:
        """The objective's term, of whole sequences or of beginnings."""
        if self.values != "beginnings":
            return self.objective.for_discriminator(self.discriminator, real, fake)
        lengths = torch.randint(1, real.shape[1] + 1, (len(real),), device=real.device)

        def scorer(tokens: Tensor) -> Tensor:
            return policy_gradient.at_positions(self.discriminator.beginnings(tokens), lengths)

        return self.objective.for_discriminator(scorer, real, fake)

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The policy gradient's term, with those of the teacher and of a learned baseline where there are such."""
        real, condition = self.parted(batch)
        tokens = self.generator.sample(len(real), condition)
        values = self.values_of(tokens, condition, real)
        self.reward.copy_(values[:, -1].mean())
        terms, baseline = {}, 0.0
        if self.baseline == "mean":
            baseline = policy_gradient.leave_one_out(values)
        elif self.baseline == "greedy":
            baseline = self.rewards(self.generator.greedy(len(real), condition), condition, real)[:, None]
        elif self.baseline == "critic":
            baseline = self.critic.beginnings(self.generator.shifted(tokens))
            terms["baseline"] = policy_gradient.critic_loss(baseline, values, self.generator.counted(tokens))
        log_probabilities = self.generator.log_probabilities(tokens, condition)
        terms["policy"] = policy_gradient.reinforce(log_probabilities, values, baseline)
        return terms | self._taught(real, condition)

    def _taught(self, real: Tensor, condition: Tensor | None) -> dict[str, Tensor]:
        return {"teacher": self.teacher * self.nll(real, condition)} if self.teacher else {}

    def _decayed(self) -> dict[str, Tensor]:
        if not self.decay:
            return {}
        return {"decay": 0.5 * self.decay * sum(p.square().sum() for p in self.discriminator.head.parameters())}

    def turns(self) -> list[Turn]:
        """The discriminator's turn, then the generator's."""
        return [
            Turn(
                "discriminator",
                [self.discriminator],
                self.discriminator_loss,
                steps=self.discriminator_steps,
                optimizer=chosen(self.optimizer, "discriminator"),
                rate=self.rate,
                after_step=lambda: self.objective.constrain(self.discriminator),
            ),
            Turn(
                "generator",
                [self.generator] + ([self.critic] if self.critic is not None else []),
                self.generator_loss,
                steps=self.generator_steps,
                optimizer=chosen(self.optimizer, "generator"),
                rate=self.rate,
                after_step=self._follow,
            ),
        ]

    def catch_up(self) -> None:
        """Make the lagged copy equal to the generator: after it was trained outside of this game."""
        follow(self.lagged, self.generator, 0.0)

    def _follow(self) -> None:
        follow(self.lagged, self.generator, self.keep)
        if hasattr(self.generator, "embedding"):
            follow(self.lagged.embedding, self.generator.embedding, 0.0)


class RankGAN(SeqGAN):
    r"""SeqGAN with a ranker in place of the judge (lin2017adversarial).

    $$\max_\theta\ \mathbb E_{s\sim G_\theta}\log R_\phi(s\mid U, C^+), \qquad
      \max_\phi\ \mathbb E_{s\sim P_h}\log R_\phi(s\mid U, C^-) +
      \mathbb E_{s\sim G_\theta}\log(1 - R_\phi(s\mid U, C^+)).$$

    $R$ is the share that a sentence wins in a comparison set (`objectives.policy_gradient.ranking_score`). Of each
    batch half are the references $U$. The other half are the real sentences, and the comparison set $C^+$ of the
    generated ones, which are $C^-$ to the real. The reward is $R$ itself: it tells sentences apart even where all are
    bad.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        discriminator: nn.Module,
        sharpness: float = 1.0,
        values: str = "rollouts",
        rollouts: int = 16,
        keep: float = 0.8,
        baseline: str | nn.Module | None = "mean",
        teacher: float = 0.0,
        discriminator_steps: int = 5,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """A game of words with a ranker; what is not named here is as in `SeqGAN`.

        Args:
            generator: as in `SeqGAN`; without a condition.
            discriminator: with `features`, from sequences to vectors `(n, d)`: `networks.SequenceCNN`.
            sharpness: $\\gamma$ of the ranks.
            values: `rollouts` or `sentence`.
            rollouts: as in `SeqGAN`.
            keep: as in `SeqGAN`.
            baseline: as in `SeqGAN`.
            teacher: as in `SeqGAN`.
            discriminator_steps: as in `SeqGAN`.
            generator_steps: as in `SeqGAN`.
            optimizer: as in `SeqGAN`.
            rate: as in `SeqGAN`.
        """
        super().__init__(
            *(generator, discriminator, "minimax", one_of("values", values, VALUES[:2]), rollouts, keep),
            *("probability", baseline, teacher, 0.0, discriminator_steps, generator_steps, optimizer, rate),
        )
        _unconditional(generator)
        if not callable(getattr(discriminator, "features", None)):
            raise ValueError("discriminator has no features(), which are what a ranker compares: give a SequenceCNN")
        self.sharpness = number("sharpness", sharpness)

    def halves(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """The references and the real sentences of a batch. Raises ValueError for a batch of one."""
        if len(real) < 2:
            raise ValueError("the batch holds one sequence; ranks need at least two: a reference and a real sentence")
        return real[: len(real) // 2], real[len(real) // 2 :]

    def judged(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> dict[str, Tensor]:
        """The ranker's term."""
        references, real = self.halves(real)
        u, s, g = (self.discriminator.features(tokens) for tokens in (references, real, fake[: len(real)]))
        ranks = [policy_gradient.ranking_score(*sides, self.sharpness) for sides in ((s, u, g), (g, u, s))]
        return {"ranking": policy_gradient.ranking_loss(*ranks)}

    def rewards(
        self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None, real: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """The rank of each sequence among real ones, in evaluation mode, in parts, without gradient."""
        with evaluating(self.discriminator):
            u, s = (self.discriminator.features(part) for part in self.halves(real))
            parts = [self.discriminator.features(part) for part in tokens.split(SCORED_AT_ONCE)]
            return policy_gradient.ranking_score(torch.cat(parts), u, s, self.sharpness).exp()


class MaliGAN(SeqGAN):
    r"""A generator that learns by likelihood from its own samples, weighted by the judge (che2017maximum).

    $$\nabla\mathcal L = -\sum_{i=1}^m\Big(\frac{r_D(x_i)}{\sum_j r_D(x_j)} - \frac1m\Big)\nabla\log p_\theta(x_i),
      \qquad r_D = \frac D{1 - D}.$$

    With `mixed` above 0 the game begins as maximum likelihood: the first words of real sequences are kept and learned
    by likelihood, `samples` continuations of each are weighted against each other, and the share of the words that are
    kept falls from 1 to 0 in a straight line until that progress. Without, a batch is weighted as one.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        discriminator: nn.Module,
        mixed: float = 0.0,
        samples: int = 8,
        decay: float = 0.0,
        discriminator_steps: int = 5,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """A game of words by weighted likelihood; what is not named here is as in `SeqGAN`.

        Args:
            generator: as in `SeqGAN`; without a condition.
            discriminator: as in `SeqGAN`.
            mixed: the progress, in [0, 1], at which no real words are kept any more.
            samples: $m$, continuations of each beginning, where the game is mixed; at least 2.
            decay: as in `SeqGAN`.
            discriminator_steps: as in `SeqGAN`.
            generator_steps: as in `SeqGAN`.
            optimizer: as in `SeqGAN`.
            rate: as in `SeqGAN`.
        """
        super().__init__(
            *(generator, discriminator, "minimax", "sentence", 1, 0.0, "score", None, 0.0, decay),
            *(discriminator_steps, generator_steps, optimizer, rate),
        )
        _unconditional(generator)
        self.mixed, self.samples = number("mixed", mixed, most=1), whole("samples", samples, least=2)

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted likelihood, and that of the words kept."""
        real, _ = self.parted(batch)
        if not self.mixed:
            tokens = self.generator.sample(len(real))
            return {"policy": self._weighted(tokens[None], self.generator.log_probabilities(tokens).sum(1)[None])}
        length = real.shape[1]
        kept = (length * (1 - self.progress / self.mixed).clamp(min=0)).ceil().long()
        before = (torch.arange(length, device=real.device) < kept).float()
        tokens = self.generator.complete(real.repeat_interleave(self.samples, 0), kept)
        shape = (len(real), self.samples, length)
        log_probabilities = self.generator.log_probabilities(tokens).view(shape)
        taught = -(before * log_probabilities[:, 0]).sum(1).mean()
        drawn = ((1 - before) * log_probabilities).sum(2)
        return {"policy": self._weighted(tokens.view(shape), drawn), "teacher": taught}

    def _weighted(self, tokens: Tensor, log_probabilities: Tensor) -> Tensor:
        scores = self.rewards(tokens.flatten(0, 1)).view(tokens.shape[:2])
        self.reward.copy_(scores.sigmoid().mean())
        return policy_gradient.maligan(log_probabilities, scores)


class ConditionalSeqGAN(SeqGAN):
    r"""A generator of replies $x\sim G(\cdot\mid c)$ against a judge of pairs $D(c, x)$.

    Sources: li2017adversarial, lee2018slides. Batches are histories with replies, from
    `data.Paired(histories, replies)`. The judge sees real pairs, generated replies $\tilde x$ and, unless `mismatched`
    is off, real replies $\hat x$ to another history of the batch,

    $$\mathcal L_D = -\log D(c, x) - \tfrac12\big[\log(1 - D(c, \tilde x)) + \log(1 - D(c, \hat x))\big]$$

    (reed2016generative): without them a generator may say what is fluent and answers nothing. The rest is `SeqGAN`.
    """

    def __init__(
        self,
        generator: SequenceGenerator,
        discriminator: nn.Module,
        mismatched: bool = True,
        values: str = "rollouts",
        rollouts: int = 16,
        keep: float = 0.8,
        baseline: str | None = "mean",
        teacher: float = 0.0,
        discriminator_steps: int = 5,
        generator_steps: int = 1,
        optimizer: OptimizerFactory | Mapping[str, OptimizerFactory] | None = None,
        rate: Callable[[float], float] = constant,
    ):
        """A game about replies; what is not named here is as in `SeqGAN`.

        Args:
            generator: conditional, such as `networks.EncoderDecoder`.
            discriminator: from histories and replies to scores `(n,)`, such as `networks.ReplyDiscriminator`.
            mismatched: whether the judge sees real replies to other histories.
            values: `rollouts` or `sentence`.
            rollouts: as in `SeqGAN`.
            keep: as in `SeqGAN`.
            baseline: `mean`, `greedy` or None.
            teacher: as in `SeqGAN`.
            discriminator_steps: as in `SeqGAN`.
            generator_steps: as in `SeqGAN`.
            optimizer: as in `SeqGAN`.
            rate: as in `SeqGAN`.
        """
        super().__init__(
            *(generator, discriminator, "minimax", one_of("values", values, VALUES[:2]), rollouts, keep),
            *("probability", _baseline(baseline), teacher, 0.0, discriminator_steps, generator_steps, optimizer, rate),
        )
        if not generator.conditional:
            raise ValueError("generator takes no condition, so it cannot answer; give a networks.EncoderDecoder")
        instance("mismatched", mismatched, bool, "True or False")
        self.mismatched = mismatched

    def scores(self, tokens: Int64[Tensor, "n t"], condition: Tensor | None = None) -> Float[Tensor, " n"]:
        """The judge's score of each pair."""
        return checked(self.discriminator(condition, tokens), len(tokens))

    def judged(self, real: Tensor, fake: Tensor, condition: Tensor | None) -> dict[str, Tensor]:
        """The judge's term."""
        found = [self.scores(tokens, condition) for tokens in (real, fake)]
        if not self.mismatched:
            return {"adversarial": self.objective.discriminator_loss(*found)}
        others = self.scores(real.roll(1, 0), condition)
        return {"adversarial": policy_gradient.matching_aware(*found, others)}


def _unconditional(generator: SequenceGenerator) -> None:
    if generator.conditional:
        raise ValueError("generator needs a condition, of which this game has none; give a networks.RecurrentGenerator")


def _rewards(found: object, n: int) -> Tensor:
    """What a reward function returned, if it is a number for each."""
    if not isinstance(found, Tensor) or not found.is_floating_point() or tuple(found.shape) != (n,):
        given = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"reward returned {given}; it must return floating-point numbers of shape ({n},)")
    return found


def _baseline(baseline: object) -> str | None:
    return baseline if baseline is None else one_of("baseline", baseline, BASELINES, ", or None")


def _same_words(name: str, one: nn.Module, other_name: str, other: nn.Module) -> None:
    """Refuse networks that were made for different words, where they say so."""
    for attribute, what in (("vocabulary", "words"), ("length", "words in a sequence")):
        mine, theirs = (getattr(network, attribute, None) for network in (one, other))
        if isinstance(mine, int) and isinstance(theirs, int) and mine != theirs:
            raise ValueError(
                f"{name} has {mine} {what} and {other_name} {theirs}; both must be made for the same {attribute}"
            )
