"""The results page shows what the files of benchmarks/results hold, all of it and nothing else."""

import ast
import importlib.util
import json
import math
import statistics
from pathlib import Path

import pytest

from gan_course import headlines

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
results = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(results)

EXAMPLE = {
    "experiment": "Ring",
    "chapter": "02_minimax_gan",
    "measured": {"modes": [8, 7], "share within 3σ": [0.9312, 0.88]},
    "published": {"modes": {"value": "1", "source": "srivastava2017veegan"}},
    "device": "2 CPU cores",
    "versions": {"torch": "2.9.0", "gan_course": "0.1.0"},
    "seeds": [0, 1],
    "rounds": 6000,
    "seconds": [61.2, 60.8],
}


def write(folder, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "ring.json").write_text(json.dumps({**EXAMPLE, **changes}))
    return folder


def test_the_page_shows_the_files_as_they_are():
    assert results.TABLE.read_text(encoding="utf-8") == results.table(), "run `make results`"


def test_every_quantity_has_a_row_with_all_its_seeds(tmp_path):
    title, _, how, _, head, rule, modes, share = results.table(write(tmp_path)).splitlines()
    assert title == "## Ring"
    assert how.startswith("Chapter {doc}`/notebooks/02_minimax_gan`.")
    assert "Seeds 0, 1; 6,000 rounds; 61, 61 seconds; 2 CPU cores; gan_course 0.1.0, torch 2.9.0." in how
    assert head.count("|") == rule.count("|") == modes.count("|") == share.count("|") == 4
    assert modes == "| modes | 1 {cite:p}`srivastava2017veegan` | 8, 7 |"
    assert share == "| share within 3σ |  | 0.9312, 0.88 |"


def test_without_published_numbers_there_is_no_column_for_them(tmp_path):
    assert results.table(write(tmp_path, published={})).splitlines()[-2:] == [
        "| modes | 8, 7 |",
        "| share within 3σ | 0.9312, 0.88 |",
    ]


def test_a_seed_that_diverged_and_a_number_without_seeds_are_shown_as_such(tmp_path):
    folder = write(tmp_path, published={}, measured={"modes": [8, None], "real against real": 1.2345})
    assert results.table(folder).splitlines()[-2:] == ["| modes | 8, diverged |", "| real against real | 1.234 |"]


def test_where_two_devices_ran_the_same_the_titles_say_which(tmp_path):
    (write(tmp_path) / "ring.gpu.json").write_text(json.dumps({**EXAMPLE, "device": "A GPU"}))
    titles = [line for line in results.table(tmp_path).splitlines() if line.startswith("#")]
    assert titles == ["## Ring, on A GPU", "## Ring, on 2 CPU cores"]


def test_many_games_stand_in_rows_with_their_quantities_side_by_side(tmp_path):
    measured = {f"k={k}: {name}": [k, k + 0.5] for k in range(4) for name in ("agreement", "distance")}
    measured["real pairs: agreement"] = 1.0
    lines = results.table(write(tmp_path, published={}, measured=measured)).splitlines()[4:]
    assert lines[0] == "| game | agreement | distance |"
    assert "61, 61 seconds for k=0; 2 CPU cores" in results.table(tmp_path)
    assert lines[2:6] == [f"| k={k} | {k}, {k + 0.5} | {k}, {k + 0.5} |" for k in range(4)]
    assert lines[6:] == ["", "| quantity | measured, each seed |", "| --- | --- |", "| real pairs: agreement | 1 |"]
    few = {name: values for name, values in measured.items() if not name.startswith("k=3")}
    assert "| game |" not in results.table(write(tmp_path, published={}, measured=few))


def told(name):
    """A stored result, and the prose of its chapter."""
    result = results.read(results.RESULTS / name)
    chapter = json.loads((ROOT / "notebooks" / f"{result['chapter']}.ipynb").read_text(encoding="utf-8"))
    return result, "".join(s for cell in chapter["cells"] if cell["cell_type"] == "markdown" for s in cell["source"])


def test_the_ring_in_the_chapter_is_the_ring_that_was_measured():
    ring, prose = told("ring.json")
    modes, shares = ring["measured"].values()
    assert "| modes found of 8 | " + " | ".join(map(str, modes)) + " |" in prose
    assert "| samples within $3\\sigma$, % | " + " | ".join(f"{share:.1f}" for share in shares) + " |" in prose


def test_the_grid_in_the_chapter_is_the_grid_that_was_measured():
    grid, prose = told("grid.json")
    modes, shares = grid["measured"].values()
    assert "| modes found of 25 | " + " | ".join(map(str, modes)) + " | 24.6 |" in prose
    assert "| samples within $3\\sigma$, % | " + " | ".join(f"{share:.1f}" for share in shares) + " | 40 |" in prose
    assert sum(modes) / 5 >= 24
    assert sum(shares) / 5 >= 50
    plain, _ = told("grid-plain.json")
    modes, shares = plain["measured"].values()
    *others, last = map(str, modes)
    assert f"found {', '.join(others)} and {last} modes" in prose
    *others, last = (f"{share:.0f}" for share in shares)
    assert f"with {', '.join(others)} and {last} %" in prose


def test_the_collapses_in_the_chapter_are_those_that_were_measured():
    for name, text in (
        ("ring-clump.json", "10 to 14 found {} modes"),
        ("ring-fourier.json", "10 to 12 found {} modes"),
    ):
        ring, prose = told(name)
        modes, shares = ring["measured"].values()
        *others, last = map(str, modes)
        assert text.format(f"{', '.join(others)} and {last}") in prose
    assert min(shares) > 93
    assert "with more than 93 % of the samples on them" in prose


def test_mnist_in_the_chapter_is_what_was_measured():
    mnist, prose = told("mnist.json")
    for quantity, digits in (("Fréchet distance", 1), ("total variation", 3), ("distance to train / to test", 3)):
        rows = [values for name, values in mnist["measured"].items() if quantity in name and name[:3] in ("GAN", "VAE")]
        assert len(rows) == 2
        assert " | ".join(", ".join(f"{value:.{digits}f}" for value in values) for values in rows) in prose


def row(prose, start):
    """The cells of the one row of a table that begins so."""
    (line,) = [line for line in prose.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_coupled_games_in_the_chapter_are_those_that_were_measured():
    for name, task in {
        "": "edges",
        "-negatives": "negatives",
        "-fashion": "Fashion-MNIST, edges",
        "-fashion-negatives": "Fashion-MNIST, negatives",
    }.items():
        file = f"cogan{name}-narrow.json"
        result, prose = told(file)
        measured, published = (
            result["measured"],
            [source["value"] for source in result["published"].values()] or ["–"] * 2,
        )
        each = [", ".join(f"{v:.3f}" for v in measured[f"{g}: pixel agreement"]) for g in ("CoGAN", "conditional GAN")]
        marks = [
            f"{statistics.mean(measured[f'CoGAN: pixel agreement of {what}']):.3f}"
            for what in ("different rows", "the best constant image")
        ]
        assert row(prose, task) == [task, published[0], each[0], *marks, published[1], each[1]]
        sizes = [measured[f"{game}: parameters"] for game in ("CoGAN", "conditional GAN")]
        assert row(prose, "parameters")[1:] == [f"{size:,}" for (size,) in map(set, sizes)]
        assert row(prose, "rounds, an update of each player")[1:] == [f"{result['rounds']:,}"] * 2
    trials, _ = told("cogan-trials.json")
    kinds = [name.split(",")[0] for name in trials["measured"] if name.endswith(": pixel agreement") and "rate" in name]
    assert row(prose, "trials of settings (`cogan-trials`)")[1:] == [
        str(kinds.count(game)) for game in ("CoGAN", "conditional GAN")
    ]


def spent(result, trials, game, extra=False):
    """What a game cost, as the chapter's tables have it: parameters, steps of each network, trials of its settings."""
    (parameters,) = {*result["measured"][f"{game}: parameters"]}
    tried = [name for name in results.read(results.RESULTS / trials)["measured"] if name.startswith(f"{game}, ")]
    number = sum(name.endswith(": relevance") for name in tried)
    return [f"{parameters:,}", f"{result['rounds']:,}", f"{number} + 1" if extra else f"{number}"]


def test_the_joint_laws_in_the_chapter_are_those_that_were_measured():
    result, prose = told("joint.json")
    measured = result["measured"]
    kinds = ("right pairs, %", "pairs on the commonest matching, %")
    for game in ("JointGAN, paired", "GAN and pix2pix, paired", "JointGAN, unpaired", "GAN and CycleGAN, unpaired"):
        relevance, variety = (
            measured[f"{game}: {kind}"] for kind in ("relevance", "variety given the first (1: the data's)")
        )
        each = [", ".join(f"{v:.0f}" for v in measured[f"{game}: {kind}"]) for kind in kinds]
        spread = f"{statistics.mean(relevance):.2f} ± {statistics.stdev(relevance):.2f}"
        found = [game, spread, *each, f"{statistics.mean(variety):.1f}"]
        assert row(prose, game) == [
            *found,
            *spent(result, "joint-trials.json", game, extra=game == "JointGAN, unpaired"),
        ]
    marks = [f"{round(measured[f'{kind} pairs: relevance'], 2) + 0:.2f}" for kind in ("true", "random")]
    assert "True pairs have the relevance {}, random ones {}.".format(*marks) in prose


def test_the_trials_on_digits_in_the_chapter_are_those_that_were_made():
    result, prose = told("joint-digits-trials.json")
    measured = result["measured"]
    gains = [
        values[0] - measured[f"{name} of different rows"][0]
        for name, values in measured.items()
        if name.endswith(": relevance") and isinstance(values, list)
    ]
    assert len(gains) == 16
    assert max(gains) < 0.05
    assert f"four trials of {result['rounds']} rounds for each game" in prose
    assert "none had a relevance more than 0.05 above that of different rows" in prose


def test_the_digits_of_joint_laws_in_the_chapter_are_those_that_were_measured():
    result, prose = told("joint-digits.json")
    measured = result["measured"]

    def mean(game, quantity):
        return f"{round(statistics.mean(measured[f'{game}: {quantity}']), 2) + 0:.2f}".replace("-", "−")

    for game in ("JointGAN, paired", "GAN and pix2pix, paired", "JointGAN, unpaired", "GAN and CycleGAN, unpaired"):
        relevance, shuffled = mean(game, "relevance"), mean(game, "relevance of different rows")
        each = ", ".join(f"{v:.0f}" for v in measured[f"{game}: read as one more, %"])
        variety = mean(game, "variety given the first, root mean squared")
        found = [relevance, shuffled, each, variety, *spent(result, "joint-digits-trials.json", game)]
        assert row(prose, f"digits, {game}")[1:] == found
    true = measured["true pairs: relevance"], measured["true pairs: read as one more, %"]
    assert "true pairs have the relevance {:.2f} and are read as one more in {:.0f} of 100 cases".format(*true) in prose
    assert abs(measured["random pairs: relevance"]) < 0.005


def test_the_grid_of_ali_in_the_chapter_is_what_was_measured():
    result, prose = told("ali_grid.json")
    measured, (published,) = result["measured"], result["published"].values()
    assert f"found {published['value']} of them" in prose
    for quantity, text in (("modes with a sample, of 25", "on {} heaps"), ("modes found of 25", "finds only {}:")):
        *others, last = map(str, measured[f"ALI: {quantity}"])
        assert text.format(f"{', '.join(others)} and {last}") in prose
    *others, last = (f"{share:.0f}" for share in measured["ALI: samples within 3σ of a mode, %"])
    assert f"Of its samples {', '.join(others)} and {last} % lie within three deviations of a heap." in prose
    back = [statistics.mean(measured[f"{game}: points that come back to their mode, %"]) for game in ("ALI", "ALICE")]
    assert "of its points {:.0f} % come back to their heap on average, of ALICE's {:.0f} %".format(*back) in prose


def test_rotations_in_the_chapter_are_those_that_were_measured():
    result, prose = told("cogan-rotation-narrow.json")
    measured = result["measured"]

    def seeds(game, quantity):
        *others, last = (f"{value:.3f}" for value in measured[f"{game}: {quantity}"])
        return f"{', '.join(others)} and {last}"

    kinds = "pixel agreement", "pixel agreement of different rows"
    coupled, single = ([seeds(game, kind) for kind in kinds] for game in ("CoGAN", "conditional GAN"))
    assert "Three seeds agree on {} of the pixels (different rows on {})".format(*coupled) in prose
    assert "those of the conditional GAN on {} ({})".format(*single) in prose
    limit = measured["class means: Fréchet distance, domain 1 (LeNet features)"] / 10
    for game in ("CoGAN", "conditional GAN"):
        constant = measured[f"{game}: pixel agreement of the best constant image"]
        assert all(a < b for a, b in zip(measured[f"{game}: pixel agreement"], constant, strict=True))
        assert min(measured[f"{game}: Fréchet distance, domain 1 (LeNet features)"]) > limit
    fashion = told("cogan-fashion-rotation-narrow.json")[0]["measured"]
    measured.update(fashion)
    coupled, single = ([seeds(game, kind) for kind in kinds] for game in ("CoGAN", "conditional GAN"))
    most = max(fashion["CoGAN: pixel agreement of the best constant image"])
    words = "pairs agree on {} (different rows on {}), where a constant image has at most {:.3f}"
    assert words.format(*coupled, most) in prose
    assert "all three pass all four checks. The conditional GAN, which each time fails one," in prose
    assert [set(fashion[f"{game}: checks passed of 4"]) for game in ("CoGAN", "conditional GAN")] == [{4}, {3}]
    found = [value > most for value in fashion["CoGAN: pixel agreement"]]
    assert "two of three seeds have found it" in prose
    assert (sum(found), len(found)) == (2, 3)
    assert "has found none: {} ({})".format(*single) in prose
    assert max(fashion["conditional GAN: pixel agreement"]) < most


def test_the_bounds_on_mnist_in_the_chapter_are_those_that_were_measured():
    result, prose = told("as_vae-narrow.json")
    half, _ = told("as_vae-narrow-generation.json")
    measured = {name: found for name, (found,) in result["measured"].items()}
    measured |= {f"AS-VAE-g: {name}": found for name, (found,) in half["measured"].items()}
    published = {name.split(":")[0]: cell["value"] for name, cell in result["published"].items()}
    published["AS-VAE-g"] = next(iter(half["published"].values()))["value"]
    quantities = {
        "bound on -log p(x), one draw, nats": 1,
        "bound on -log p(x), 50 importance samples, nats": 1,
        "root mean squared error of reconstructions, of 255": 1,
        "Fréchet distance (LeNet features, test images)": 0,
    }
    games = {name.split(": ")[0] for name in measured}
    assert len(games) == 8
    for game in games:
        found = [measured.get(f"{game}: {quantity}") for quantity in quantities]
        cells = ["" if v is None else f"{v:.{digits}f}" for v, digits in zip(found, quantities.values(), strict=True)]
        if lost := measured.get(f"{game}: test images without a finite bound"):
            cells[0] = f"infinite for {lost} images"
        assert row(prose, game)[1:] == [published.get(game, ""), *cells]


@pytest.mark.parametrize("chapter", ["17_vae_gan", "18_bigan"])
def test_the_models_with_codes_in_the_chapters_are_those_that_were_measured(chapter):
    result, _ = told("codes.json")
    notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    prose = "".join(s for cell in notebook["cells"] if cell["cell_type"] == "markdown" for s in cell["source"])
    quantities = {
        "Fréchet distance (LeNet features, test images)": 1,
        "reconstructions: root mean squared error of pixels": 3,
        "reconstructions: read as the same digit, %": 1,
    }
    for game in ("VAE", "VAE-GAN", "BiGAN"):
        (label,) = {name.split(":")[0] for name in result["measured"] if name.split(":")[0].split(",")[0] == game}
        found = [
            ", ".join(f"{value:.{digits}f}" for value in result["measured"][f"{label}: {quantity}"])
            for quantity, digits in quantities.items()
        ]
        assert row(prose, game)[1:] == found


SHARING = {"negatives": "cogan-sharing-negatives.json", "edges": "cogan-sharing.json"}


def test_what_sharing_does_in_the_chapter_is_what_was_measured():
    chapter = json.loads((ROOT / "notebooks" / "22_cogan.ipynb").read_text(encoding="utf-8"))
    (source,) = ["".join(cell["source"]) for cell in chapter["cells"] if cell["id"] == "study"]
    study = ast.literal_eval(ast.parse(source).body[0].value)
    assert list(study) == list(SHARING)
    kinds, passes = ("pixel agreement", "pixel agreement of different rows"), []
    for change, file in SHARING.items():
        measured = told(file)[0]["measured"]
        for way, stored in study[change].items():
            assert stored == tuple([round(v, 3) for v in measured[f"{way}: {kind}"]] for kind in kinds), way
        assert len(study[change]) == sum(
            name.startswith("k=") and name.endswith(": pixel agreement") for name in measured
        )
        passed = [n for name, values in measured.items() if name.endswith("checks passed of 4") for n in values]
        assert len(passed) == 21
        passes.append(passed.count(4))
    words = "Of 21 runs for negatives {} pass all four, for edges {}: with l = 1 two seeds draw edges"
    assert words.format(*passes) in told("cogan-sharing.json")[1]


def test_where_edges_are_paired_in_the_chapter_is_where_they_were():
    result, prose = told("cogan-sharing.json")
    measured = result["measured"]

    def paired(way):
        both = (
            measured[f"{way}: {kind}"] for kind in ("pixel agreement", "pixel agreement of the best constant image")
        )
        return sum(a > b for a, b in zip(*both, strict=True))

    assert [paired(f"k={k}, l=3") for k in (0, 1)] == [0, 0]
    counts = [paired(f"k={k}, l=3") for k in (2, 3, 4)]
    words = "no seed passes the best constant image, with two blocks {} of 3, with three {}, with four {}."
    assert words.format(*counts) in prose
    assert paired("k=4, l=2") == counts[-1]
    assert f"of edges {paired('k=4, l=1')} of 3 passes with one block, {counts[-1]} with two or three" in prose
    shares = measured["k=4, l=1: rarest class, domain 2 (1: its fair share)"]
    assert sum(share < 0.1 for share in shares) == 2


@pytest.mark.parametrize(
    ("file", "way"), [("adaptation-narrow.json", "MNIST → USPS"), ("adaptation-back-narrow.json", "USPS → MNIST")]
)
def test_the_adaptation_in_the_chapter_is_what_was_measured(file, way):
    result, prose = told(file)
    found = []
    for game in ("CoGAN", "CoGAN with matching", "source only", "domain-adversarial"):
        values = result["measured"][f"{game}: accuracy on the drawn target images"]
        found.append(f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}")
    _, published, *cells = row(prose, way)
    assert cells == found
    assert published.split()[0] == next(iter(result["published"].values()))["value"]


def test_the_adaptation_on_test_images_in_the_chapter_is_what_was_measured():
    both, prose = [told(f"adaptation{way}-narrow.json")[0] for way in ("", "-back")], told("adaptation-narrow.json")[1]
    for game, words in {
        "CoGAN": "CoGAN comes to {} and {}",
        "CoGAN with matching": "with matching {} and {}",
        "source only": "the classifier {} and {}",
        "domain-adversarial": "the reversed gradient {} and {}",
    }.items():
        means = [statistics.mean(r["measured"][f"{game}: accuracy on the target's test set"]) for r in both]
        assert words.format(*(f"{mean:.3f}" for mean in means)) in prose


def test_the_games_of_words_in_the_chapter_are_what_was_measured():
    result, prose = told("sequences-narrow.json")
    measured, rounds = result["measured"], "1,400 rounds"
    own = measured["the oracle's own sequences: NLL-oracle"]
    assert row(prose, "the oracle itself")[1:3] == [f"{own:.2f}"] * 2

    def pair(game, at=""):
        return [f"{statistics.mean(measured[f'{game}: {name}{at}']):.2f}" for name in ("NLL-oracle", "NLL-test")]

    assert row(prose, "maximum likelihood")[1:3] == pair("maximum likelihood")
    for temperature in ("0.8", "0.6"):
        found = pair("maximum likelihood", f" at temperature {temperature}")
        assert row(prose, f"the same at temperature {temperature}")[1:3] == found
    for game in ("SeqGAN", "REGS", "MaliGAN", "RankGAN", "SeqGAN, rate 0.01"):
        gaps = measured[f"{game}, {rounds}: NLL-test less that of the frontier"]
        assert row(prose, game)[1:] == [*pair(f"{game}, {rounds}"), f"{statistics.mean(gaps):+.3f}"]
        assert min(gaps) > 0  # in no seed below the curve


def test_the_sums_in_the_chapter_are_those_that_were_measured():
    result, prose = told("sequences-grammar.json")
    measured = result["measured"]

    def figures(game):
        kinds = ("right sums, %", "different right sums of 5,000", "words of a sum")
        values = [statistics.mean(measured[f"{game}: {kind}"]) for kind in kinds]
        return [f"{value:.{digits}f}" for value, digits in zip(values, (1, 0, 2), strict=True)]

    assert row(prose, "60 rounds of maximum likelihood")[1:] == figures("maximum likelihood")
    assert row(prose, "260 rounds of it")[1:] == figures("maximum likelihood, on, 260 rounds")
    for game in ("SeqGAN", "REGS", "MaliGAN", "RankGAN"):
        assert row(prose, f"then {game}")[1:] == figures(f"{game}, 260 rounds")
    kinds = measured["RankGAN, 260 rounds: different right sums of 5,000"]
    assert f"in one seed RankGAN wrote {min(kinds)}" in prose


def test_the_normal_numbers_in_the_chapter_on_common_information_are_those_that_were_measured():
    result, prose = told("wyner-gaussian.json")
    measured, what = result["measured"], "I(X, Y; Z) of the model, nats"
    trained = [values for name, values in measured.items() if name.endswith(what) and isinstance(values, list)]
    rest = [value for name, value in measured.items() if name.endswith(f"at rest: {what}")]
    assert len(result["seeds"]) == 5
    for start, values in (
        ("trained, mean of five seeds", map(statistics.mean, trained)),
        ("standard deviation", map(statistics.stdev, trained)),
    ):
        assert row(prose, start)[1:] == [f"{value:.3f}" for value in values]
    assert row(prose, "at rest, exact expectations")[1:] == ["–", *(f"{value:.3f}" for value in rest)]
    chapter = json.loads((ROOT / "notebooks" / "25_wyner.ipynb").read_text(encoding="utf-8"))
    (source,) = ["".join(cell["source"]) for cell in chapter["cells"] if cell["id"] == "sweep-plot"]
    assert list(ast.literal_eval(ast.parse(source).body[0].value).values()) == [round(value, 3) for value in rest]


def test_what_normal_numbers_have_in_common_is_found_as_the_theory_has_it():
    """The less the information weighs, the more is known: from below up to C = log 3, and above it without weight."""
    result, what = results.read(results.RESULTS / "wyner-gaussian.json"), "I(X, Y; Z) of the model, nats"
    measured, weights = result["measured"], (0, 0.01, 0.03, 0.1, 0.3, 1)
    least = math.log(3)
    assert measured["Wyner's common information, nats"] == pytest.approx(least)
    assert measured["I(X; Y), nats"] == pytest.approx(-math.log(1 - 0.8**2) / 2)
    trained = [measured[f"λ = {weight}: {what}"] for weight in weights]
    for seed in zip(*trained, strict=True):
        assert list(seed) == sorted(seed, reverse=True)
        without, smallest, *_ = seed
        assert without > least + 0.1
        assert abs(smallest - least) < 0.01
    rest = [measured[f"λ = {weight}, at rest: {what}"] for weight in weights[1:]]
    assert all(value < least for value in rest)
    missing = [least - value for value in rest]
    assert missing == sorted(missing)  # C is approached as the weight falls
    assert missing[0] < 0.01


def test_the_replies_in_the_chapter_are_those_that_were_measured():
    result, prose = told("sequences-answers.json")
    measured, after = result["measured"], ", 440 rounds"
    games = {
        "200 rounds of maximum likelihood": "maximum likelihood",
        "440 rounds of it": f"maximum likelihood, on{after}",
        "then the game, matching-aware": f"GAN, matching-aware{after}",
        "then the game, unaware": f"GAN, without{after}",
    }
    kinds = {"right replies, %": 1, "the commonest reply, %": 1, "different right replies": 0}
    for label, game in games.items():
        found = [f"{statistics.mean(measured[f'{game}: {kind}']):.{digits}f}" for kind, digits in kinds.items()]
        assert row(prose, label)[1:] == found
    right = [value for game in list(games.values())[1:] for value in measured[f"{game}: right replies, %"]]
    assert f"between {min(right):.0f} and {max(right):.0f} for all three" in prose
    own, replies = (measured[f"the data: {what}"] for what in ("the commonest reply, %", "different replies"))
    assert f"{own:.1f} per cent of the data" in prose
    assert f"of {replies} different replies in the data" in prose


def test_the_captions_in_the_chapter_are_those_that_were_measured(monkeypatch):
    result, prose = told("sequences-coco-narrow.json")
    measured = result["measured"]
    monkeypatch.chdir(ROOT)
    published = headlines.find("sequences-coco-narrow").published

    def value(who, what):
        found = measured[f"{who}: {what}"]
        return found[0] if isinstance(found, list) else found

    def scores(who, where=""):
        kinds = ("BLEU", "self-BLEU")
        found = [[f"{value(who, f'{kind}-{n}{where}'):.3f}"[1:] for n in (2, 3, 4)] for kind in kinds]
        return [" / ".join(values) for values in found]

    def cited(who):
        found = [
            [published.get(f"{who}: {kind}-{n}", {}).get("value") for n in (2, 3, 4)] for kind in ("BLEU", "self-BLEU")
        ]
        return [" / ".join(values) if all(values) else "" for values in found]

    teacher, names = "maximum likelihood", ("SeqGAN", "REGS", "MaliGAN", "RankGAN")
    games = {name: f"{name}, 2,350 rounds" for name in names}
    rows = {"likelihood": teacher, "true captions": "training captions"}
    rows |= {f"with {name}": game for name, game in games.items()}
    for label, who in rows.items():
        assert row(prose, label)[2:] == [*cited(who), *scores(who)], label
    assert row(prose, "at temperature 0.9")[2:] == ["", "", *scores(teacher, " at temperature 0.9")]
    for quantity, source in result["published"].items():
        assert source == published[quantity]

    assert "differ by a thousandth at most" in prose  # true captions, from Texygen's
    for kind in ("BLEU", "self-BLEU"):
        for n in (2, 3, 4, 5):
            own = value("training captions", f"{kind}-{n}")
            assert abs(own - float(published[f"training captions: {kind}-{n}"]["value"])) < 0.0015
    for n in (2, 3, 4):
        for name in ("SeqGAN", "RankGAN"):  # a temperature of 0.9 beside the published ones
            theirs = [float(published[f"{games[name]}: {kind}-{n}"]["value"]) for kind in ("BLEU", "self-BLEU")]
            assert value(teacher, f"BLEU-{n} at temperature 0.9") > theirs[0]
            assert value(teacher, f"self-BLEU-{n} at temperature 0.9") < theirs[1]
        assert value(games["RankGAN"], f"BLEU-{n}") > value(teacher, f"BLEU-{n}") - 0.001
        assert value(games["RankGAN"], f"self-BLEU-{n}") < value(teacher, f"self-BLEU-{n}") - 0.01
        assert value(games["MaliGAN"], f"BLEU-{n}") < value(teacher, f"BLEU-{n}")
    nats = "nats per word, test captions of known words"
    costs = [f"{value(game, nats) - value(teacher, nats):.2f}" for game in games.values()]
    assert "by {}, {}, {} and {} nats per word, RankGAN the most".format(*costs) in prose


def test_the_digits_that_are_one_more_in_the_chapter_are_those_that_were_measured():
    result, prose = told("wyner.json")
    for start, quantity, digits in (
        ("P@100", "retrieval of USPS by MNIST: P@100", 3),
        ("mAP", "retrieval of USPS by MNIST: mAP", 3),
        ("digit from the common code, %", "digit read off the common code of MNIST, %", 1),
        ("digit from the local code, %", "digit read off the local code of MNIST, %", 1),
        ("MNIST to USPS right, %", "MNIST to USPS: the digit is one more, %", 1),
        ("USPS to MNIST right, %", "USPS to MNIST: the digit is one less, %", 1),
        ("pairs from the prior right, %", "pairs from the prior: the digit is one more, %", 1),
        ("Fréchet distance, MNIST", "Fréchet distance, MNIST (LeNet features)", 1),
        ("Fréchet distance, USPS", "Fréchet distance, USPS (LeNet features)", 1),
        ("information by its own ratio, nats", "estimated information, model, nats", 2),
    ):
        found = [result["measured"][f"λ = {weight}: {quantity}"] for weight in ("0", "0.1", "0.3", "1")]
        assert row(prose, start)[1:] == [f"{statistics.mean(values):.{digits}f}" for values in found]


def test_the_figure_of_weights_shows_the_digits_that_are_one_more():
    result = results.read(results.RESULTS / "wyner.json")
    chapter = json.loads((ROOT / "notebooks" / "25_wyner.ipynb").read_text(encoding="utf-8"))
    (source,) = ["".join(cell["source"]) for cell in chapter["cells"] if cell["id"] == "weights-plot"]
    shown = [ast.literal_eval(line.value) for line in ast.parse(source).body[:3]]
    for kind, quantity, digits in (
        (0, "retrieval of USPS by MNIST: P@100", 3),
        (1, "Fréchet distance, MNIST (LeNet features)", 1),
        (2, "Fréchet distance, USPS (LeNet features)", 1),
    ):
        for place, weight in enumerate(("0", "0.1", "0.3", "1")):
            found = result["measured"][f"λ = {weight}: {quantity}"]
            assert shown[kind][place] == tuple(round(value, digits) for value in found)
    assert "LAMBDA_AXIS = (0, 0.1, 0.3, 1)" in source


def test_the_sources_and_chapters_exist():
    keys = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    for path in results.RESULTS.glob("*.json"):
        result = results.read(path)
        assert (ROOT / "notebooks" / f"{result['chapter']}.ipynb").exists(), path.name
        for quantity in result["published"].values():
            assert f"{{{quantity['source']}," in keys, path.name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0]}, "2 values for 1 seeds"),
        ({"seconds": 61.2}, "'seconds' has no list of 2 values"),
        ({"measured": {"modes": None}}, "'modes' has no list of 2 values"),
        ({"remark": "fine"}, "unknown keys \\['remark'\\]"),
        ({"published": {"colour": {"value": "1", "source": "x"}}}, "published but not measured: \\['colour'\\]"),
    ],
)
def test_a_file_that_is_not_so_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        results.table(write(tmp_path, **changes))


def test_no_files_no_table(tmp_path):
    assert results.table(tmp_path) == results.EMPTY
