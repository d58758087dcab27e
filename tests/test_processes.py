"""Several processes play one game. They run here on the CPU, through gloo, two at a time."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

import gan_course
from gan_course import checkpoint, fit, games, networks, processes, runs, training
from gan_course.data import Paired, Unpaired
from gan_course.data.sources import as_source
from gan_course.errors import CourseError, ProcessLost

X = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
Z = torch.randn(100, 3, generator=torch.Generator().manual_seed(2))
IMAGES = torch.rand(100, 1, 16, 16, generator=torch.Generator().manual_seed(3))
CPU = torch.device("cpu")
ROOT = Path(gan_course.__file__).parents[1]


class Given(games.GAN):
    """Its noise comes with the data: then two halves of a batch have the noise of the whole."""

    def discriminator_loss(self, batch):
        x, z = batch
        with torch.no_grad():
            fake = self.generator(z)
        return self.objective.for_discriminator(self.discriminator, x, fake)

    def generator_loss(self, batch):
        x, z = batch
        return self.objective.for_generator(self.discriminator, x, self.generator(z))


class Balanced(games.BEGAN):
    """Its noise comes with the data too."""

    def loss(self, batch):
        x, z = batch
        self.noise = lambda n: z
        return super().loss(x)


def balanced(seed=0):
    torch.manual_seed(seed)
    judge = networks.Reconstruction(networks.mlp(2, [8], 1), networks.mlp(1, [8], 2), "mean absolute")
    game = Balanced(networks.mlp(3, [8], 2), judge, gain=0.1, latent_size=3)
    game.k.fill_(0.5 - 0.1 * seed)
    return game


def points(seed=0, **settings):
    torch.manual_seed(seed)
    return Given(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3, **settings)


def pictures(seed=0):
    torch.manual_seed(seed)
    return Given(*networks.dcgan(16, 1, 3, 4), latent_size=3, optimizer=games.sgd(0.1))


def noisy(seed=0):
    torch.manual_seed(seed)
    generator = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    return games.GAN(generator, networks.mlp(2, [8]), "wgan-gp", latent_size=3, average=0.9)


# What the processes do: each function runs in every process and returns what is compared.


def equal(rank, folder):
    found = {}
    for name, make, x in (("points", points, X), ("pictures", pictures, IMAGES), ("balanced", balanced, X)):
        game = make(seed=rank)  # the second one's weights are others, and not used
        if name == "pictures":
            processes.synchronise(game)
        history = fit(game, Paired(x, Z), rounds=8, batch_size=10, device="cpu")
        found[name] = (game.state_dict(), history.columns)
    return found


def parts(rank, folder):
    source, loader = Unpaired(X, Z), torch.utils.data.DataLoader(X, batch_size=10, shuffle=True)
    streams = [source.stream(10, CPU, 0, (rank, 2)), as_source(loader).stream(10, CPU, 0, (rank, 2))]
    game, noise = noisy(), []
    fit(game, X, rounds=1, device="cpu", players=["generator"])
    game.noise = lambda n: noise.append(torch.randn(n, 3)) or noise[-1]
    fit(game, X, rounds=1, device="cpu", players=["generator"])
    return [next(stream) for stream in streams], noise[0]


def resume(rank, folder):
    settings = dict(batch_size=10, device="cpu")
    through, broken = noisy(), noisy()
    a = fit(through, X, rounds=10, **settings)
    called = []

    def save(game, history):
        called.append(history.rounds)
        checkpoint.save(folder / "a.safetensors", game, history)

    fit(broken, X, rounds=10, until=4, callbacks=[training.every(4, save)], **settings)
    broken, history = noisy(seed=5), training.History()
    if rank == 0:
        history = checkpoint.load(folder / "a.safetensors", broken)
    b = fit(broken, X, rounds=10, history=history, **settings)
    same = all(torch.equal(v, broken.state_dict()[k]) for k, v in through.state_dict().items())
    return called, same, a.columns == b.columns, through.state_dict()


def interrupt(rank, folder):
    def stop(game, history):
        if history.rounds == 3:
            os.kill(os.getpid(), signal.SIGINT)  # in the first process only

    history = fit(noisy(), X, rounds=100_000, device="cpu", callbacks=[stop])
    return history.rounds, history.interrupted


def diverge(rank, folder):
    class Sick(games.GAN):
        def generator_loss(self, real, fake=None):
            terms = super().generator_loss(real, fake)
            return {"adversarial": terms["adversarial"] * (float("nan") if rank == 1 else 1)}

    try:
        fit(Sick(networks.mlp(3, [8], 2), networks.mlp(2, [8]), latent_size=3), X, rounds=50, device="cpu")
    except ArithmeticError as error:
        return str(error)


def die(rank, folder):
    def act(game, history):
        if history.rounds == 5:
            checkpoint.save(folder / "a.safetensors", game, history)

    game = points()
    turn = game.generator_loss

    def mortal(batch):
        if rank == 1 and game.progress > 0.1:
            os.kill(os.getpid(), signal.SIGKILL)
        return turn(batch)

    game.generator_loss = mortal
    try:
        fit(game, Paired(X, Z), rounds=100, device="cpu", callbacks=[act])
    except ProcessLost as error:
        return str(error)


def _process(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
    for what in (equal, parts, resume, interrupt, diverge, die):
        (folder / what.__name__).mkdir(exist_ok=True)
        torch.save(what(rank, folder / what.__name__), folder / f"{what.__name__}-{rank}.pt")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each function returns in either of two processes; None in one that was killed."""
    folder, spawn = tmp_path_factory.mktemp("two"), multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_process, args=(rank, folder)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(200)
        assert process.exitcode is not None, "it hangs"

    def returned(what):
        files = [folder / f"{what.__name__}-{rank}.pt" for rank in range(2)]
        return [torch.load(file, weights_only=False) if file.exists() else None for file in files]

    returned.folder = folder
    return returned


def test_two_processes_equal_one_with_the_joined_batch(two):
    """Weights to 1e-5 and terms to 1e-4 after eight rounds, with batch normalisation over both."""
    first, second = two(equal)
    for name, make, x in (("points", points, X), ("pictures", pictures, IMAGES), ("balanced", balanced, X)):
        game = make()
        before = {key: value.clone() for key, value in game.state_dict().items()}
        history = fit(game, Paired(x, Z), rounds=8, batch_size=20, device="cpu")
        state, columns = first[name]
        for key, value in game.state_dict().items():
            torch.testing.assert_close(state[key], value, atol=1e-5, rtol=1e-5)
            assert torch.equal(state[key], second[name][0][key])
            assert not key.endswith("weight") or not torch.allclose(before[key], value, atol=1e-4)  # it has learned
        for key, column in history.columns.items():
            assert list(columns[key]) == pytest.approx(list(column), rel=1e-4)


def test_each_process_has_noise_and_data_of_its_own(two):
    (first, noise), (second, other) = two(parts)
    whole = next(Unpaired(X, Z).stream(20, CPU, 0))
    for joined, a, b in zip(whole, first[0], second[0], strict=True):
        assert torch.equal(joined, torch.cat([a, b]))
    assert not torch.equal(first[1], second[1])  # a loader is shuffled by another seed
    assert not torch.equal(noise, other)


def test_two_processes_resume_from_one_checkpoint(two):
    first, second = two(resume)
    assert first[0] == [0, 4]
    assert second[0] == []  # only the first one calls back
    for _, same, columns, state in (first, second):
        assert same
        assert columns
        assert all(torch.equal(value, first[3][name]) for name, value in state.items())
    game = noisy()
    with pytest.raises(ValueError, match="made by 2 processes and now there are 1"):
        fit(game, X, rounds=10, batch_size=10, history=checkpoint.load(two.folder / "resume" / "a.safetensors", game))


def test_an_interruption_of_one_stops_both_at_the_same_round(two):
    first, second = two(interrupt)
    assert first == second
    assert first[1]
    assert first[0] < 100_000


def test_divergence_in_one_stops_both(two):
    messages = two(diverge)
    assert messages[0] == messages[1]
    assert "generator's adversarial became nan in round 1" in messages[0]


def test_a_process_that_dies_ends_the_others_and_leaves_the_checkpoint(two):
    first, second = two(die)
    assert second is None
    assert "process 0 of 2 lost another one that it trains with" in first
    assert "last checkpoint" in first
    assert checkpoint.load(two.folder / "die" / "a.safetensors", points()).rounds == 5


# The command line


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": ""}
SMALL = ["--data", "ring", "--width", "8", "--device", "cpu", "--sample-every", "1000"]


def command(*arguments, module="gan_course"):
    call = [sys.executable, "-m", *module.split(), *map(str, arguments)]
    return subprocess.Popen(call, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_trains_in_two_processes_and_torchrun_goes_on_with_them(tmp_path):
    out = tmp_path / "a"
    begun = command("train", "gan", "--rounds", 20, "--devices", 2, "--sync-batch-norm", "--out", out, *SMALL)
    printed, told = begun.communicate(timeout=200)
    assert begun.returncode == 0, told
    assert printed.count(f"{out}: 20 rounds") == 1
    assert told.count("| 0/20 [00:00<?, ?round/s]") == 1  # one progress bar: it may draw its end twice, not its start
    assert "20/20" in told
    assert sorted(file.name for file in out.iterdir()) == [
        "checkpoint.safetensors",
        "configuration.json",
        "history.csv",
        "samples-000000.png",
        "samples-000020.png",
    ]
    torchrun = "torch.distributed.run --nproc-per-node 2 -m gan_course"
    gone_on = command("train", "gan", "--rounds", 30, "--resume", "--out", out, module=torchrun)
    printed, told = gone_on.communicate(timeout=200)
    assert gone_on.returncode == 0, told
    assert printed.count(f"{out}: 30 rounds") == 1
    game = runs.build(runs.Configuration("gan", data="ring", width=8), X)
    history = checkpoint.load(out / "checkpoint.safetensors", game)
    assert history.rounds == 30
    assert len(history.state["processes"]) == 2


def test_a_process_of_the_command_that_dies_ends_the_job(tmp_path):
    out = tmp_path / "a"
    job = command("train", "gan", "--rounds", 10**6, "--devices", 2, "--checkpoint-every", 50, "--out", out, *SMALL)
    end = time.monotonic() + 120
    while not (out / "checkpoint.previous.safetensors").exists():
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    (second,) = [child.pid for child in psutil.Process(job.pid).children() if "train" in child.cmdline()]
    os.kill(second, signal.SIGKILL)
    _, told = job.communicate(timeout=60)
    assert job.returncode != 0
    assert "gan-course: process 0 of 2 lost another one that it trains with, so training stops" in told
    assert "Traceback" not in told
    game = runs.build(runs.Configuration("gan", data="ring", width=8), X)
    assert checkpoint.load(out / "checkpoint.safetensors", game).rounds >= 100
    assert not [file for file in out.iterdir() if file.name.startswith(".")]


def test_what_the_first_process_refuses_is_said_once(tmp_path):
    job = command("train", "gan", "--rounds", 5, "--devices", 2, "--out", tmp_path, *SMALL)
    _, told = job.communicate(timeout=120)
    assert job.returncode == 1
    assert told.count("exists; continue it with --resume") == 1
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (dict(devices=0), "devices=0 was given; it must be at least 1"),
        (dict(nodes=-1), "nodes=-1 was given"),
        (dict(devices=2, device="cuda:1"), "for 2 processes; give 'cpu' or 'cuda'"),
        (dict(devices=999, device="cuda"), "devices=999 was given; this machine has"),
    ],
)
def test_numbers_of_processes_that_cannot_be(asked, message):
    with pytest.raises(ValueError, match=message):
        processes.start(**asked)


def test_alone_nothing_is_started_and_without_fabric_it_is_said(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert processes.start(1, 1, "cpu") == "cpu"
    assert processes.start() is None
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(CourseError, match=r"pip install 'gan-course\[scale\]'"):
        processes.start(2, device="cpu")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="torchrun has started 2 processes on each of 2 machines"):
        processes.start(4)
