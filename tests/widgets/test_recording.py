"""What the replay holds, and that watching changes nothing."""

import base64
import inspect
import json
import re

import numpy as np
import pytest
import torch

from gan_course import data, fit, games, networks, seed_everything
from gan_course.training import History
from gan_course.widgets import Recording, live, replay

WORDS = ("The ring", "Points move.")


def small_game():
    seed_everything(0)
    return games.GAN(networks.mlp(3, [8], 2), networks.mlp(2, [8], None), latent_size=3)


@pytest.fixture(scope="module")
def recorded():
    real = data.toy.ring(400)
    recording = Recording(real, every=4, samples=30, grid=9, arrows=5, centers=data.toy.ring_centers(), std=0.05)
    game = small_game()
    fit(game, real, rounds=10, batch_size=16, callbacks=[recording], device="cpu")
    return recording, game


def test_frames_have_their_rounds_and_shapes(recorded):
    recording, _ = recorded
    assert [frame.round for frame in recording.frames] == [0, 4, 8, 10]
    for frame in recording.frames:
        assert frame.fake.shape == (30, 2)
        assert frame.surface.shape == (9, 9)
        assert frame.pull.shape == (5, 2)
        assert (frame.total, 0 <= frame.modes <= 8, 0 <= frame.quality <= 1) == (8, True, True)
    assert recording.real.shape == (30, 2)


def test_the_same_latents_are_followed(recorded):
    recording, game = recorded
    before = [frame.fake for frame in recording.frames]
    recording(game, type("Later", (), {"rounds": 11})())
    np.testing.assert_array_equal(recording.frames.pop().fake, before[-1])
    assert not np.array_equal(before[0], before[-1])


def test_watching_changes_nothing():
    real = data.toy.ring(200)
    weights = []
    for callbacks in ([], [Recording(real, every=1, samples=20, grid=5)]):
        game = small_game()
        torch.manual_seed(7)
        fit(game, real, rounds=6, batch_size=16, callbacks=callbacks, device="cpu")
        weights.append([*(p.clone() for p in game.parameters()), torch.rand(3)])
    for plain, watched in zip(*weights, strict=True):
        assert torch.equal(plain, watched)


def test_recording_outside_fit_leaves_the_random_state_alone():
    game, recording = small_game(), Recording(data.toy.ring(50), samples=5, grid=3)
    state = torch.get_rng_state()
    recording(game, History())
    assert torch.equal(torch.get_rng_state(), state)


def test_training_anew_starts_the_recording_anew():
    real, recording = data.toy.ring(50), Recording(data.toy.ring(50), every=2, samples=5, grid=3)
    fit(small_game(), real, rounds=4, callbacks=[recording], device="cpu")
    fit(small_game(), real, rounds=2, callbacks=[recording], device="cpu")
    assert [frame.round for frame in recording.frames] == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"real": torch.zeros(5, 3)}, r"points of the plane.*\(5, 3\)"),
        ({"every": 0}, "every=0"),
        ({"grid": 1}, "at least 2"),
        ({"extent": -1.0}, "extent=-1"),
        ({"centers": torch.zeros(1, 2)}, "both"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        # Without the check of shapes that only tests put around it, which would answer first.
        inspect.unwrap(Recording.__init__)(object.__new__(Recording), **{"real": torch.zeros(5, 2), **arguments})


def test_a_game_that_is_not_of_the_plane_is_refused():
    game = games.GAN(networks.mlp(3, [8], 4), networks.mlp(4, [8], None), latent_size=3)
    with pytest.raises(ValueError, match=r"this game generates \(5, 4\)"):
        Recording(torch.zeros(5, 2), samples=5)(game, History())


def payload(html):
    return json.loads(re.search(r"mount\(element, (\{.*\})\);\n}\n</script>", html)[1])


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_base64_decodes_to_the_recording(recorded):
    recording, _ = recorded
    shown = payload(replay(recording, *WORDS).html)
    reach = 2 * recording.extent
    for frame, kept in zip(shown["frames"], recording.frames, strict=True):
        assert frame["round"] == kept.round
        got = numbers(frame["fake"], "<i2").reshape(-1, 2) / 32767 * reach
        np.testing.assert_allclose(got, kept.fake, atol=reach / 32767)
        got = numbers(frame["pull"], "<i2").reshape(-1, 2) / 32767 * frame["reach"]
        np.testing.assert_allclose(got, kept.pull, atol=frame["reach"] / 32767)
        got = numbers(frame["surface"], np.uint8).reshape(9, 9) / 255
        np.testing.assert_allclose(got, kept.surface, atol=0.5 / 255 + 1e-6)
        assert (frame["modes"], frame["total"]) == (kept.modes, 8)


def test_the_html_asks_nobody_for_anything_and_has_words(recorded):
    recording, _ = recorded
    figure = replay(recording, 'Rings <b>& "all"', "Points </script> move.")
    html = figure.html
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", html)
    assert "import(" not in html
    assert not re.search(r"^import ", html, re.M)
    assert html.count("</script>") == 1
    assert 'alt="Points &lt;/script&gt; move."' in html
    assert payload(html)["description"] == "Points </script> move."
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"].startswith("Replay of rounds 0 to 10 in 4 frames")
    assert figure.html == html  # the same output for the same run


def test_many_frames_are_thinned_and_a_figure_stays_small():
    real, game = data.toy.ring(2000), small_game()
    recording, history = Recording(real, every=1), History()
    for history.rounds in range(70):
        recording(game, history)
    figure = replay(recording, *WORDS)
    assert len(figure.frames) == 40
    assert (figure.frames[0].round, figure.frames[-1].round) == (0, 69)
    assert len(figure.html) < 300_000


def test_words_and_frames_are_required(recorded):
    for words in (("", "text"), ("title", "  ")):
        with pytest.raises(ValueError, match="words for those"):
            replay(recorded[0], *words)
    with pytest.raises(ValueError, match="recording is empty"):
        replay(Recording(torch.ones(5, 2)), *WORDS)


def driven(widget):
    """Collects what the widget sends; returns the list and a function that speaks as the figure does."""
    sent = []
    widget.send = lambda content, buffers=None: sent.append(json.loads(json.dumps(content)))
    return sent, lambda content: widget._handle_custom_msg(content, [])


def test_live_trains_when_asked_and_equals_one_fit():
    real, game = data.toy.ring(200), small_game()
    widget = live(game, real, rounds=7, every=3, samples=10, grid=4, batch_size=16, device="cpu")
    sent, say = driven(widget)
    assert widget.history is None
    assert [frame["round"] for frame in widget.data["frames"]] == [0]
    for _ in range(4):
        say({"command": "step"})
    assert [(m["index"], m["frame"]["round"], m["finished"]) for m in sent[:3]] == [
        (1, 3, False),
        (2, 6, False),
        (3, 7, True),
    ]
    assert widget.history.rounds == 7
    alone = small_game()
    fit(alone, real, rounds=7, batch_size=16, device="cpu")
    for a, b in zip(game.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_live_keeps_the_schedule_of_all_rounds():
    real = data.toy.ring(200)
    parameters = []
    for pausing in (True, False):
        game = small_game()
        game.rate = games.linear_decay
        if pausing:
            widget = live(game, real, rounds=6, every=2, samples=5, grid=3, batch_size=16, device="cpu")
            for _ in range(3):
                widget.step()
        else:
            fit(game, real, rounds=6, batch_size=16, device="cpu")
        parameters.append([p.detach().clone() for p in game.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*parameters, strict=True))


def test_live_tells_a_new_view_what_it_missed_and_reports_errors():
    widget = live(small_game(), data.toy.ring(50), rounds=4, every=2, samples=5, grid=3, device="cpu")
    widget.step()
    sent, say = driven(widget)
    say({"command": "hello"})
    assert [message["index"] for message in sent] == [1]
    say({"command": "dance"})
    assert "known commands are step and hello" in sent[-1]["error"]
    widget.settings["batch_size"] = 0
    say({"command": "step"})
    assert "batch_size=0" in sent[-1]["error"]
