"""Every setting of the package, given every kind of value: the error names that very setting, or it is right."""

import copy
import math
from dataclasses import fields

import pytest
import torch
from fuzzing import EVERY, NO_NUMBERS, answer
from torch import nn

from gan_course import fit, games, metrics, networks, objectives, runs, widgets
from gan_course.data import domains, pairs, sources, text, toy
from gan_course.data.images import Images
from gan_course.study import cells
from gan_course.training import every

X = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
PLENTY = torch.randn(12, 2, generator=torch.Generator().manual_seed(1))
DIGITS = Images(torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 0, 1]), ["0", "1"], "bits")
MODULE = nn.Linear(2, 2)
SCORER = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
JUDGE = networks.JointDiscriminator(networks.mlp(4, [3]))
SAMPLES = (X, X + 1)
IMAGES = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(6) % 2
SHARES = torch.tensor([0.25, 0.75])
WRITER, WORDS = networks.RecurrentGenerator(3, 2), torch.tensor([[0, 1], [2, 1]])
ANSWERER = networks.EncoderDecoder(3, 2, 2, 2)
IMAGE = dict(size=8, channels=1, width=2, hidden=0)


COUPLED = (
    networks.couple([[nn.Linear(2, 2)], [nn.Linear(2, 2)]], first=1),
    networks.couple([[nn.Linear(2, 1), nn.Flatten(0)], [nn.Linear(2, 1), nn.Flatten(0)]], last=1),
)


MADE = [networks.Towers(networks.mlp(4, [3], 2), None, None) for _ in range(2)]
CRITIC = networks.Towers(networks.mlp(4, [3], 5), None, None)


PAINTERS = [networks.unet(4, 1, width=1, dropout=0.0) for _ in range(2)]
PATCHES = [networks.patch_discriminator(1, 1, 0) for _ in range(2)]


def invert(**settings):
    return games.CoGAN(*COUPLED, latent_size=2).invert(**settings)


def transform(**settings):
    return games.CoGAN(*COUPLED, latent_size=2).transform(**settings)


def stream(batch_size):
    return next(sources.as_source(X).stream(batch_size, torch.device("cpu"), 0))


def trained(**settings):
    game = games.GAN(networks.mlp(2, [3], 2), networks.mlp(2, [3]), latent_size=2)
    return fit(game, X, **{"rounds": 1, "batch_size": 2, "device": "cpu", **settings})


def penalised(weight):
    return objectives.get("wgan-gp", weight=weight).for_discriminator(lambda x: x.sum(1), X, X + 1)


def likelihood(std):
    return objectives.likelihood.gaussian_nll(X, X + 1, std)


def consistent(weight, margin, features):
    penalty = objectives.penalties.ConsistencyPenalty(weight, margin, features)
    return penalty(networks.mlp(2, [3], activation=lambda: nn.Dropout(0.5)), X)


def spectral(module, iterations):
    return networks.spectral(copy.deepcopy(module), iterations)(X)


def unpaired(size):
    stream = sources.Unpaired(X, X, sizes=[2, size]).stream(1, torch.device("cpu"), 0)
    return next(stream)


def relaxed(temperature):
    return games.Bernoulli().relaxed_sample(X, temperature)


def contestant(**settings):
    return cells.complete("hinge", settings)


def towers(head, tower):
    return networks.Towers(head, tower)


def pixels(images):
    return images.flatten(1)


def total(x):
    return x.reshape(len(x), -1).sum(1)


def learned(lines, least, most):
    return text.Vocabulary.learn(lines, least, most)


def encoded(lines, length):
    return text.Vocabulary(["a", "b"]).encode(lines, length)


def f_score(beta):
    return metrics.prd_curve(SHARES, SHARES).f(beta)


NAMES = ("game", "data", "objective", "device")
CONFIGURATION = {field.name: field.default for field in fields(runs.Configuration)} | dict(game="gan")

# What is called, with settings that are right, and which of them are numbers. Sizes are not tried that are right but
# larger than a test's memory.
CALLS = {
    toy.ring: (dict(n=3, seed=0, modes=8, radius=2.0, std=0.1), None),
    toy.grid: (dict(n=3, seed=0, side=3, spacing=2.0, std=0.1), None),
    toy.spiral: (dict(n=3, seed=0, turns=2.0, radius=2.0, std=0.1), None),
    toy.two_moons: (dict(n=3, seed=0, std=0.1), None),
    toy.mixture: (dict(n=3, seed=0, means=[0.0, 1.0], stds=[1.0, 1.0], weights=[0.5, 0.5]), ("n", "seed")),
    toy.point_masses: (dict(n=3, seed=0, points=[0.0, 1.0], weights=[0.5, 0.5]), ("n", "seed")),
    toy.ring_centers: (dict(modes=8, radius=2.0), None),
    toy.grid_centers: (dict(side=3, spacing=2.0), None),
    stream: (dict(batch_size=3), None),
    unpaired: (dict(size=3), None),
    penalised: (dict(weight=1.0), None),
    consistent: (dict(weight=2.0, margin=0.1, features=0.1), None),
    spectral: (dict(module=MODULE, iterations=1), ("iterations",)),
    likelihood: (dict(std=1.0), None),
    networks.mlp: (dict(inputs=2, hidden=[3], outputs=2), ("inputs",)),
    networks.decoder: (dict(**IMAGE, latent_size=2, final=nn.Identity()), (*IMAGE, "latent_size")),
    networks.encoder: (dict(**IMAGE, outputs=2), None),
    networks.dcgan: (dict(**IMAGE, latent_size=2), None),
    networks.Fourier: (dict(frequencies=3), None),
    networks.Residual: (dict(network=MODULE), ()),
    networks.joint_images: (
        dict(size=8, channels=(1, 1), latent_size=2, width=2, hidden=3, paired=True),
        ("size", "latent_size", "width", "hidden"),
    ),
    networks.unet: (
        dict(size=8, channels=1, outputs=1, width=2, depth=2, norm="batch", dropout=0.5, most=8),
        ("size", "channels", "outputs", "width", "depth", "dropout", "most"),
    ),
    networks.resnet_generator: (
        dict(size=8, channels=1, outputs=1, width=2, blocks=1, depth=1, norm="none"),
        ("size", "channels", "outputs", "width", "blocks", "depth"),
    ),
    networks.patch_discriminator: (
        dict(channels=1, width=2, depth=1, norm="batch"),
        ("channels", "width", "depth"),
    ),
    networks.patch_size: (dict(depth=3), None),
    networks.JointDiscriminator: (dict(head=MODULE, sample=MODULE, code=None), ()),
    networks.Joined: (dict(discriminator=MODULE, sample=(2,), code=[1, 3]), ()),
    networks.Noisy: (dict(network=MODULE, noise=1), ("noise",)),
    towers: (dict(head=MODULE, tower=None), ()),
    networks.Stochastic: (dict(network=MODULE, mean_in_evaluation=True), ()),
    networks.RecurrentGenerator: (
        dict(vocabulary=3, length=2, embedding=2, hidden=2, cell="lstm", start=0, padding=1, std=0.1),
        ("vocabulary", "length", "embedding", "hidden", "start", "padding"),
    ),
    networks.EncoderDecoder: (
        dict(vocabulary=3, length=2, embedding=2, hidden=2, start=1, padding=0),
        ("vocabulary", "length", "embedding", "hidden", "start", "padding"),
    ),
    networks.oracle: (
        dict(parameters=None, vocabulary=3, length=2, size=2, seed=0),
        ("vocabulary", "length", "size", "seed"),
    ),
    networks.tempered: (dict(generator=WRITER, temperature=0.5), ("temperature",)),
    networks.SequenceCNN: (
        dict(vocabulary=3, length=2, embedding=2, widths=[1], filters=3, highway=1, dropout=0.1),
        ("vocabulary", "length", "embedding", "highway", "dropout"),
    ),
    networks.PrefixDiscriminator: (
        dict(vocabulary=3, length=2, embedding=2, hidden=2, cell="lstm"),
        ("vocabulary", "length", "embedding", "hidden"),
    ),
    networks.ReplyDiscriminator: (
        dict(vocabulary=3, length=2, embedding=2, hidden=2, padding=0),
        ("vocabulary", "length", "embedding", "hidden", "padding"),
    ),
    networks.Highway: (dict(size=2), None),
    networks.seqgan: (dict(vocabulary=3, length=2), None),
    games.MaximumLikelihood: (dict(generator=WRITER, optimizer=games.sgd(), rate=games.constant), ()),
    games.PolicyGradient: (
        dict(generator=WRITER, reward=total, baseline="mean", optimizer=games.sgd(), rate=games.constant),
        (),
    ),
    games.TwoAgents: (
        dict(first=ANSWERER, second=ANSWERER, reward=total, exchanges=1, optimizer=games.sgd(), rate=games.constant),
        ("exchanges",),
    ),
    games.SeqGAN: (
        dict(generator=WRITER, discriminator=networks.SequenceCNN(3, 2, 2, (1,), 2), objective="minimax")
        | dict(values="rollouts", rollouts=2, keep=0.8, reward="score", baseline="mean", teacher=0.1, decay=0.1)
        | dict(discriminator_steps=1, generator_steps=1, optimizer=games.sgd(), rate=games.constant, pool=4, passes=2),
        ("rollouts", "keep", "teacher", "decay", "discriminator_steps", "generator_steps", "pool", "passes"),
    ),
    games.RankGAN: (
        dict(generator=WRITER, discriminator=networks.SequenceCNN(3, 2, 2, (1,), 2), sharpness=1.0, values="sentence")
        | dict(rollouts=2, keep=0.8, baseline="mean", teacher=0.1, discriminator_steps=1, generator_steps=1)
        | dict(optimizer=games.sgd(), rate=games.constant),
        ("sharpness", "rollouts", "keep", "teacher", "discriminator_steps", "generator_steps"),
    ),
    games.MaliGAN: (
        dict(generator=WRITER, discriminator=networks.SequenceCNN(3, 2, 2, (1,), 2), mixed=0.5, samples=2, decay=0.1)
        | dict(discriminator_steps=1, generator_steps=1, optimizer=games.sgd(), rate=games.constant),
        ("mixed", "samples", "decay", "discriminator_steps", "generator_steps"),
    ),
    games.ConditionalSeqGAN: (
        dict(generator=ANSWERER, discriminator=networks.ReplyDiscriminator(3, 2, 2, 2), mismatched=True)
        | dict(values="rollouts", rollouts=2, keep=0.8, baseline="mean", teacher=0.1, discriminator_steps=1)
        | dict(generator_steps=1, optimizer=games.sgd(), rate=games.constant),
        ("rollouts", "keep", "teacher", "discriminator_steps", "generator_steps"),
    ),
    networks.Flow: (dict(layers=[networks.PlanarFlow(2)]), ()),
    networks.PlanarFlow: (dict(latent_size=2, length=1), None),
    networks.InverseAutoregressiveFlow: (dict(latent_size=2, length=1, hidden=[3]), ("latent_size", "length")),
    games.adam: (dict(rate=0.1, betas=(0.5, 0.9)), ("rate",)),
    games.rmsprop: (dict(rate=0.1), None),
    games.sgd: (dict(rate=0.1, momentum=0.0), None),
    games.clipped: (dict(factory=games.sgd(), norm=1.0), ("norm",)),
    games.GAN: (
        dict(generator=MODULE, discriminator=MODULE, objective="minimax", latent_size=2, discriminator_steps=1)
        | dict(optimizer=games.sgd(), rate=games.constant, average=0.5, reuse_fakes=True, simultaneous=False),
        ("latent_size", "discriminator_steps", "average"),
    ),
    games.CoGAN: (
        dict(generators=COUPLED[0], discriminators=COUPLED[1], objective="minimax", latent_size=2, prior="normal")
        | dict(optimizer=games.sgd(), rate=games.constant, average=0.5, classifier=MODULE, classification=1.0)
        | dict(matching=0.1),
        ("latent_size", "average", "classification", "matching"),
    ),
    games.ConditionalGAN: (
        dict(generator=MODULE, discriminator=MODULE, classes=2, objective="minimax", latent_size=2)
        | dict(discriminator_steps=1, optimizer=games.sgd(), rate=games.constant, average=0.5),
        ("classes", "latent_size", "discriminator_steps", "average"),
    ),
    invert: (dict(x=X, domain=0, steps=1, starts=1), ("domain", "steps", "starts")),
    transform: (dict(x=X, source=0, target=1, steps=1, starts=1), ("target", "steps", "starts")),
    networks.couple: (dict(stacks=[[MODULE], [MODULE]], first=1, last=None), ()),
    networks.Conditioned: (dict(network=MODULE, classes=2), ("classes",)),
    networks.cogan_narrow: (dict(domains=2, channels=1, latent_size=2, first=4, last=3), ("domains", "latent_size")),
    networks.cogan_rotation: (
        dict(domains=2, latent_size=2, first=4, last=1, width=2),
        ("domains", "latent_size", "first", "last", "width"),
    ),
    networks.cogan_faces: (
        dict(size=64, domains=2, channels=1, latent_size=2, first=5, last=4, width=1),
        ("size", "domains", "latent_size", "width"),
    ),
    networks.conditional_digits: (dict(classes=2, channels=1, latent_size=2, narrow=True), ("classes", "latent_size")),
    domains.rotated: (dict(images=IMAGES, quarters=1), ("quarters",)),
    domains.edges: (dict(images=IMAGES), ()),
    domains.negatives: (dict(images=IMAGES), ()),
    domains.halves: (dict(images=IMAGES, change=domains.edges, seed=0, rows=None), ("seed",)),
    metrics.pixel_agreement: (dict(expected=IMAGES, images=IMAGES, threshold=0.5), ("threshold",)),
    games.BEGAN: (
        dict(generator=MODULE, discriminator=MODULE, diversity=0.5, gain=0.01, latent_size=2, optimizer=games.sgd())
        | dict(rate=games.constant, average=0.5),
        ("diversity", "gain", "latent_size", "average"),
    ),
    networks.Reconstruction: (dict(encoder=MODULE, decoder=MODULE, error="norm"), ()),
    games.BiGAN: (
        dict(encoder=MODULE, generator=MODULE, discriminator=JUDGE, objective="minimax", latent_size=2)
        | dict(discriminator_steps=1, generator_steps=1, optimizer=games.sgd(), rate=games.constant, average=0.5),
        ("latent_size", "discriminator_steps", "generator_steps", "average"),
    ),
    games.ALICE: (
        dict(encoder=MODULE, generator=MODULE, discriminator=JUDGE, objective="minimax", latent_size=2)
        | dict(cycle="adversarial", weight=1.0, cycle_discriminator=JUDGE, supervision=0.5, discriminator_steps=1)
        | dict(generator_steps=1, optimizer=games.sgd(), rate=games.constant, average=0.5),
        ("latent_size", "weight", "supervision", "discriminator_steps", "generator_steps", "average"),
    ),
    games.JointGAN: (
        dict(generators=MADE, critic=CRITIC, shapes=[(2,), (2,)], latent_size=2, paired=True, loss="saturating")
        | dict(cycle=1.0, error="l2", absent="noise", critic_steps=1, generator_steps=1, optimizer=games.sgd())
        | dict(rate=games.constant, average=0.5),
        ("latent_size", "cycle", "critic_steps", "generator_steps", "average"),
    ),
    games.Pix2Pix: (
        dict(generator=PAINTERS[0], discriminator=networks.patch_discriminator(2, 1, 0), shapes=[(1, 4, 4), (1, 4, 4)])
        | dict(objective="minimax", weight=1.0, conditional=True, optimizer=games.sgd(), rate=games.constant)
        | dict(average=0.5),
        ("weight", "average"),
    ),
    games.CycleGAN: (
        dict(generators=PAINTERS, discriminators=PATCHES, shapes=[(1, 4, 4), (1, 4, 4)], objective="minimax")
        | dict(cycle=1.0, identity=0.5, pool=2, optimizer=games.sgd(), rate=games.constant, average=0.5),
        ("cycle", "identity", "pool", "average"),
    ),
    games.ASVAE: (
        dict(encoder=nn.Linear(2, 4), decoder=MODULE, latent_size=2, likelihood="gaussian", encoder_ratio=JUDGE)
        | dict(decoder_ratio=copy.deepcopy(JUDGE), variant="full", ratio_steps=1, relaxation="draw", temperature=0.5)
        | dict(reference="fixed", optimizer=games.sgd(), rate=games.constant, flow=networks.PlanarFlow(2)),
        ("latent_size", "temperature"),
    ),
    games.VariationalWyner: (
        dict(joint_encoder=networks.Towers(nn.Linear(4, 2), None, None), x_encoder=MODULE, y_encoder=MODULE)
        | dict(u_encoder=networks.Towers(nn.Linear(4, 2), None, None), x_decoder=nn.Linear(4, 2))
        | dict(v_encoder=networks.Towers(nn.Linear(4, 2), None, None), y_decoder=nn.Linear(4, 2))
        | dict(common_size=2, u_size=2, v_size=2, common_information=0.1, weights=None, reconstructions={"x": 1.0})
        | dict(error="l1", noise=0.1, ratio=None, x_features=MODULE, y_features=None, ratio_steps=1)
        | dict(optimizer=games.sgd(), rate=games.constant, average=0.5),
        ("common_size", "u_size", "v_size", "noise", "average"),
    ),
    games.CodeModel: (
        dict(encoder=MODULE, decoder=MODULE, latent_size=2, numbers_per_coordinate=1, called="decoder"),
        ("latent_size", "numbers_per_coordinate"),
    ),
    games.VAE: (
        dict(encoder=nn.Linear(2, 4), decoder=MODULE, latent_size=2, likelihood="gaussian", optimizer=games.sgd())
        | dict(rate=games.constant, flow=networks.PlanarFlow(2)),
        ("latent_size",),
    ),
    games.Gaussian: (dict(std=1.0, scale="fixed"), ("std",)),
    games.DiscretisedLogistic: (dict(channels=1, levels=256, scale=0.1), ("channels", "levels", "scale")),
    relaxed: (dict(temperature=0.5), None),
    games.VAEGAN: (
        dict(encoder=nn.Linear(2, 4), decoder=MODULE, discriminator=SCORER)
        | dict(latent_size=2, similarity=0.1, std=1.0, layer="0", reconstructions=True, saturating=False)
        | dict(optimizer=games.sgd(), rate=games.constant, average=0.5),
        ("latent_size", "similarity", "std", "average"),
    ),
    games.AutoEncoder: (
        dict(encoder=MODULE, decoder=MODULE, latent_size=2, optimizer=games.sgd(), rate=games.constant),
        ("latent_size",),
    ),
    games.DiscriminatorAlone: (
        dict(discriminator=MODULE, shape=(2,), steps=2, step_size=0.1, noise=1.0, restarted=0.5, pool=8, limits=(0, 1))
        | dict(magnitude=0.1, objective="minimax", sampling_steps=2, optimizer=games.sgd(), rate=games.constant),
        ("steps", "step_size", "noise", "restarted", "pool", "magnitude", "sampling_steps"),
    ),
    every: (dict(rounds=1, callback=print), ("rounds",)),
    trained: (
        dict(rounds=1, batch_size=2, seed=0, until=1, players=["generator"], history=None, callbacks=())
        | dict(device="cpu", precision=None, compile=False, on_divergence="stop"),
        ("rounds", "batch_size", "seed", "until"),
    ),
    metrics.relevance_model: (
        dict(first=PLENTY, second=PLENTY + 1, negatives=1, gammas=[5.0], epochs=1, features=2)
        | dict(shares=(0.6, 0.2, 0.2), seed=0),
        ("negatives", "epochs", "features", "seed"),
    ),
    metrics.relevance: (
        dict(first=X, second=X + 1, model=metrics.relevance_model(PLENTY, PLENTY, 1, [5.0], 1, 2)),
        (),
    ),
    pairs.changed: (dict(images=IMAGES, change=domains.edges), ()),
    pairs.add_one: (dict(first=DIGITS, second=DIGITS, seed=0, number=2), ("seed",)),
    metrics.mode_coverage: (dict(samples=X, centers=X, std=0.1, share=0.5), ("std", "share")),
    metrics.likelihood_bound: (
        dict(log_weights=total, data=X, importance_samples=2, batch_size=4, seed=0),
        ("importance_samples", "batch_size", "seed"),
    ),
    metrics.bits_per_dimension: (dict(nats=-3.0, dimensions=2, levels=256), ("dimensions", "levels")),
    metrics.dequantised: (dict(images=IMAGES.round(), levels=2, seed=0), ("levels", "seed")),
    metrics.mutual_information: (dict(table=torch.eye(2) / 2), ()),
    metrics.gaussian_mutual_information: (dict(covariance=torch.eye(2), first=1), ("first",)),
    metrics.gaussian_common_information: (dict(correlation=0.5), ()),
    metrics.binary_common_information: (dict(crossover=0.1), ("crossover",)),
    metrics.retrieval: (
        dict(queries=X, gallery=X + 1, query_labels=CLASSES, gallery_labels=CLASSES, k=2, measure="cosine", seed=0),
        ("k", "seed"),
    ),
    metrics.latent_accuracy: (
        dict(train=X, train_labels=CLASSES, test=X + 1, test_labels=CLASSES, strength=1.0),
        ("strength",),
    ),
    metrics.rmse: (dict(x=X, reconstruction=X + 1), ()),
    metrics.nearest_neighbours: (dict(samples=X, reference=X, k=1), ("k",)),
    metrics.memorisation: (dict(samples=X, train=X, test=X + 1, seed=0), ("seed",)),
    metrics.transport_plan: (dict(p=torch.tensor([0.5, 0.5]), q=torch.ones(1), costs=torch.ones(2, 1)), ()),
    metrics.wasserstein: (dict(x=X, y=X + 1, order=1), ("order",)),
    contestant: (
        {name: default for name, (default, _) in cells.SETTINGS.items()},
        [name for name in cells.SETTINGS if name not in ("optimizer", "decay", "normalise")],
    ),
    metrics.parzen: (dict(samples=X, test=X + 1, validation=X + 2, bandwidths=[0.1, 0.5]), ()),
    metrics.parzen_density: (dict(samples=X, x=X, bandwidth=1.0), ("bandwidth",)),
    metrics.inception_score: (dict(probabilities=SHARES.expand(6, 2), splits=2, seed=0), ("splits", "seed")),
    metrics.fid: (dict(images_a=IMAGES, images_b=IMAGES, network=pixels), ()),
    metrics.kid: (
        dict(images_a=IMAGES, images_b=IMAGES, network=pixels, subsets=1, subset_size=3, seed=0),
        ("subsets", "subset_size", "seed"),
    ),
    metrics.kernel_distance: (
        dict(features_a=X, features_b=X, subsets=1, subset_size=3, seed=0),
        ("subsets", "subset_size", "seed"),
    ),
    metrics.mifid: (dict(images=IMAGES, train=IMAGES, network=pixels, threshold=0.1), ("threshold",)),
    metrics.image_features: (dict(images=IMAGES, network=pixels, batch_size=2), ("batch_size",)),
    metrics.class_probabilities: (dict(images=IMAGES, network=pixels, batch_size=2), ("batch_size",)),
    metrics.precision_recall: (dict(real=X, fake=X + 1, k=2), ("k",)),
    metrics.prd: (
        dict(real=X, fake=X + 1, clusters=2, runs=1, angles=5, seed=0),
        ("clusters", "runs", "angles", "seed"),
    ),
    metrics.prd_curve: (dict(reference=SHARES, evaluated=SHARES, angles=5), ("angles",)),
    f_score: (dict(beta=1.0), ("beta",)),
    text.arithmetic: (dict(n=3, most=5, seed=0), None),
    text.styles: (dict(n=3, seed=0), None),
    text.dialogues: (dict(n=3, seed=0), None),
    text.tokenise: (dict(line="a b."), ()),
    learned: (dict(lines=["a b", "a"], least=1, most=5), ("least",)),
    encoded: (dict(lines=["a b", "a"], length=3), ("length",)),
    metrics.bleu: (dict(samples=["a b"], references=["a b"], order=2), ("order",)),
    metrics.self_bleu: (dict(samples=["a b", "a"], order=2), ("order",)),
    metrics.ngram_coverage: (dict(samples=["a b"], reference=["a b"], order=2), ("order",)),
    metrics.grammar_validity: (dict(samples=["a b"], accepts=text.is_arithmetic), ()),
    metrics.word_nll: (dict(network=WRITER, tokens=WORDS, condition=None, batch_size=2), ("batch_size",)),
    metrics.sequence_nll: (
        dict(generator=WRITER, oracle=WRITER, test=WORDS, samples=3, batch_size=2, seed=0),
        ("samples", "batch_size", "seed"),
    ),
    metrics.birthday: (dict(samples=X, draws=3, threshold=0.1), ("draws", "threshold")),
    metrics.birthday_draws: (dict(support=365), ("support",)),
    metrics.collision_probability: (dict(draws=23, support=365), ("draws", "support")),
    metrics.implied_support: (dict(draws=23, probability=0.5), ("draws", "probability")),
    widgets.earth_mover: (
        dict(pile=torch.tensor([1.0, 0, 0]), holes=torch.tensor([0.5, 0, 0.5]), title="T", description="D.", shift=1),
        ("shift",),
    ),
    widgets.latent_plane: (dict(corners=X[:4], rows=2, columns=3), ("rows", "columns")),
    widgets.latent_walk: (
        dict(images=[IMAGES.view(2, 3, 1, 2, 2)], names=["dots"], title="T", description="D."),
        ("images", "names"),
    ),
    widgets.sentences: (
        dict(
            writers={"one": [((0.0, 1.0), ["a"]), ((1.0, 2.0), ["b"])]},
            settings=["1", "2"],
            dial="D",
            axes=["x", "y"],
            title="T",
            description="D.",
            mark=None,
            start=0,
        ),
        ("start",),
    ),
    runs.Configuration: (
        CONFIGURATION,
        [name for name in CONFIGURATION if name not in (*NAMES, "sync_batch_norm")],
    ),
}
# None is right too
OPTIONAL = {"until", "average", "sampling_steps", "subset_size", "levels"}
OPTIONAL |= {"padding"}
OPTIONAL |= {"latent_size", "width", "learning_rate", "discriminator_steps"}
OPTIONAL |= {"outputs", "depth"}
OPTIONAL |= {"cycle"}
OTHER_WORDS = {"tower": "towers", "size": "sizes[1]", "data": "data set", "points": "weights"}


def cases():
    for call, (good, numeric) in CALLS.items():
        for name in good:
            yield pytest.param(call, name, numeric is None or name in numeric, id=f"{call.__name__}-{name}")


def infinite(found) -> bool:
    """Whether a tensor, or any in a dict or tuple, holds what is no finite number."""
    if isinstance(found, dict | tuple | list):
        return any(map(infinite, found.values() if isinstance(found, dict) else found))
    if isinstance(found, torch.Tensor):
        return not bool(found.isfinite().all())
    return isinstance(found, float) and not math.isfinite(found)


@pytest.mark.parametrize(("call", "name", "numeric"), list(cases()))
def test_the_error_names_the_setting(call, name, numeric):
    good, _ = CALLS[call]
    for value in EVERY:
        words = (name, OTHER_WORDS.get(name, name))
        found = answer(words, call, **{**good, name: value})
        assert not infinite(found), value
        if not numeric or (value is None and name in OPTIONAL):
            continue
        assert found is None or not wrong(value), f"{name}={value!r} was not refused"


def wrong(value) -> bool:
    """Whether no setting that is a number can have this value."""
    if any(value is other for other in (*NO_NUMBERS, True, False)):
        return True
    return not torch.is_tensor(value) and not 0 <= value < math.inf


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_the_settings_that_are_right_are_not_refused(call):
    good, _ = CALLS[call]
    assert call(**good) is not None


@pytest.mark.parametrize("frequencies", [25, 200])
def test_frequencies_beyond_single_precision_are_refused(frequencies):
    assert answer(("frequencies",), networks.Fourier, frequencies) is None
