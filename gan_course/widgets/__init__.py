"""Moving figures: one ES module and one small Python file each, plain HTML in the book, an anywidget beside a kernel.

`earth_mover` shows transport on a line: the reader shifts a pile and makes a plan; the page does the arithmetic.
`latent_walk` shows a plane of latents: the reader walks it and sees what several domains make of the same point.
`sentences` shows what writers write: the reader turns a dial, reads, and sees two numbers that judge it.

In a chapter (the stored output needs no kernel, no network and no widget runtime)::

    from gan_course.widgets import Recording, replay

    recording = Recording(real, every=100, centers=data.toy.ring_centers(), std=0.05)
    history = fit(game, real, rounds=3_000, callbacks=[recording])
    replay(recording, "The ring of eight", "Generated points spread from one blob over all eight modes of the ring.")

Beside a kernel (JupyterLab, Colab), where Python trains while the reader watches; never in a stored chapter, because
a widget brings megabytes of runtime to a static page::

    from gan_course.widgets import live

    live(game, real, rounds=3_000, every=20)
"""

from gan_course.widgets.earth_mover import EarthMover, earth_mover
from gan_course.widgets.latent_walk import LatentWalk, latent_plane, latent_walk
from gan_course.widgets.recording import Frame, Recording
from gan_course.widgets.replay import Replay, replay
from gan_course.widgets.sentences import Sentences, sentences

__all__ = [
    "EarthMover",
    "Frame",
    "LatentWalk",
    "Live",
    "Recording",
    "Replay",
    "Sentences",
    "earth_mover",
    "latent_plane",
    "latent_walk",
    "live",
    "replay",
    "sentences",
]


def __getattr__(name: str):
    if name in ("Live", "live"):  # imported when asked for: the widgets' runtime takes its time
        from gan_course.widgets import live_training

        return getattr(live_training, name)
    raise AttributeError(f"module 'gan_course.widgets' has no attribute {name!r}")
