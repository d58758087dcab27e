"""The replay in a real browser: it plays, obeys the keyboard, keeps to itself, and asks nobody for anything."""

import json
from datetime import datetime

import numpy as np
import pytest

from gan_course.widgets import Recording, replay
from gan_course.widgets.recording import Frame
from gan_course.widgets.replay import MODULE, figure_data, frame_data


def recording(rounds=(0, 100, 200, 300, 400)):
    """A blob that drifts to the right while the boundary follows it."""
    import torch

    draw = np.random.default_rng(0)
    made = Recording(
        torch.tensor(draw.normal(0, 0.3, (80, 2)) + np.array([1.5, 0]), dtype=torch.float32), grid=12, extent=3.0
    )
    noise, ticks = draw.normal(0, 0.3, (60, 2)), np.linspace(-3, 3, 12)
    for place, number in enumerate(rounds):
        middle = -2 + 3.5 * place / len(rounds)
        surface = np.tile(1 / (1 + np.exp(middle + 0.5 - ticks)), (12, 1))
        pull = np.tile([[1.0, 0.2]], (20, 1)) * (1 - place / len(rounds))
        made.frames.append(Frame(number, noise + np.array([middle, 0]), surface, pull, place, 8, place / 8))
    return made


def figure(autoplay=False, title="Drift", **settings):
    return replay(recording(**settings), title, "A blob drifts to the right.", autoplay=autoplay).html


def picture(page, place=0):
    return page.locator("canvas").nth(place).evaluate("canvas => canvas.toDataURL()")


def test_play_goes_through_all_frames_and_stops_at_the_end(open_page):
    page = open_page(figure())
    assert page.locator(".round").inner_text() == "Round 400"
    page.evaluate(
        """() => {
          const root = document.querySelector("[data-gan-course]").shadowRoot, words = root.querySelector(".round");
          window.seen = {};  // what was said, and the picture that went with it
          new MutationObserver(() => { seen[words.textContent] = root.querySelector("canvas").toDataURL(); })
            .observe(words, {childList: true});
        }"""
    )
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("'Round 400' in seen")
    page.get_by_role("button", name="Play").wait_for()  # it has stopped
    seen = page.evaluate("seen")
    assert list(seen) == ["Round 0", "Round 100", "Round 200", "Round 300", "Round 400"]
    assert len(set(seen.values())) == 5
    assert page.locator(".round").inner_text() == "Round 400"
    assert page.locator(".found").inner_text() == "4 of 8 modes found, 50 % of points within 3σ"


def test_points_glide_between_frames(open_page):
    page = open_page(figure())
    page.clock.install(time=datetime(2026, 1, 1))  # time passes only where the test says so, however busy the machine
    page.clock.pause_at(datetime(2026, 1, 2))
    page.get_by_label("Speed").select_option("0.25")
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(100)
    page.get_by_role("button", name="Pause").click()
    assert page.locator(".round").inner_text() == "Round 0"
    between = picture(page)
    page.get_by_role("slider").press("Home")
    page.get_by_role("slider").press("ArrowRight")
    page.get_by_role("slider").press("ArrowLeft")
    assert page.locator(".round").inner_text() == "Round 0"
    assert picture(page) != between


def test_the_keyboard_alone_is_enough(open_page):
    page = open_page(figure())
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    assert page.locator(".round").inner_text() == "Round 0"
    first = picture(page)
    slider.press("ArrowRight")
    assert page.locator(".round").inner_text() == "Round 100"
    assert slider.get_attribute("aria-valuetext") == "Round 100, 1 of 8 modes found, 13 % of points within 3σ"
    assert picture(page) != first
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the main button
    page.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Play").wait_for()


def test_keys_do_not_reach_the_page(open_page):
    page = open_page(figure())
    page.evaluate("window.heard = 0; document.addEventListener('keydown', () => window.heard++)")
    page.get_by_role("slider").press("ArrowLeft")
    assert page.evaluate("window.heard") == 0  # slides would turn the page


def test_the_gradients_can_be_hidden(open_page):
    page = open_page(figure())
    page.get_by_role("slider").press("Home")
    shown = picture(page)
    page.get_by_label("Gradients").uncheck()
    assert picture(page) != shown


def test_alternative_text(open_page):
    page = open_page(figure())
    assert page.get_by_role("img", name="A blob drifts to the right.").count() == 1  # the canvas; the poster is hidden
    assert page.get_by_role("figure", name="Drift").count() == 1


def test_two_figures_keep_to_themselves(open_page):
    page = open_page(figure(title="One") + figure(title="Two", rounds=(0, 10, 20)))
    assert page.locator(".round").all_inner_texts() == ["Round 400", "Round 20"]
    before = picture(page, 1)
    page.get_by_role("slider").nth(0).press("Home")
    assert page.locator(".round").all_inner_texts() == ["Round 0", "Round 20"]
    assert picture(page, 1) == before
    page.get_by_role("slider").nth(1).press("ArrowLeft")
    assert page.locator(".round").all_inner_texts() == ["Round 0", "Round 10"]


def test_the_same_figure_twice_is_mounted_twice(open_page):
    page = open_page(figure() + figure())
    assert page.locator(".round").all_inner_texts() == ["Round 400", "Round 400"]


def test_a_phone_has_room(open_page):
    page = open_page("<meta name=viewport content='width=device-width'>" + figure(), width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("Play",):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    wide = page.locator("canvas").bounding_box()["width"]
    page.set_viewport_size({"width": 320, "height": 900})
    page.wait_for_function(f"() => document.querySelector('div').shadowRoot.querySelector('canvas').width < {wide}")


@pytest.mark.parametrize("attribute", [("data-theme", "dark"), ("theme", "dark")])
def test_dark_when_the_page_says_so(open_page, attribute):
    page = open_page(figure())
    light = picture(page)
    page.evaluate("([name, value]) => document.documentElement.setAttribute(name, value)", list(attribute))
    page.locator(".figure[data-theme=dark]").wait_for()
    assert picture(page) != light
    page.evaluate("name => document.documentElement.removeAttribute(name)", attribute[0])
    page.locator(".figure[data-theme=light]").wait_for()
    assert picture(page) == light


def test_dark_when_the_system_is_unless_the_page_says_light(open_page):
    assert open_page(figure(), color_scheme="dark").locator(".figure[data-theme=dark]").count() == 1
    page = open_page("<body data-jp-theme-light='true'>" + figure(), color_scheme="dark")
    assert page.locator(".figure[data-theme=light]").count() == 1


def test_plays_once_when_seen_but_not_for_those_who_want_stillness(open_page):
    page = open_page(figure(autoplay=True))
    page.get_by_role("button", name="Pause").wait_for()
    page = open_page(figure(autoplay=True), reduced_motion="reduce")
    page.wait_for_timeout(400)
    assert page.get_by_role("button", name="Play").count() == 1
    assert page.locator(".round").inner_text() == "Round 400"


def test_without_scripts_the_poster_and_the_words_stand(open_page):
    page = open_page(figure(), java_script_enabled=False)
    assert "A blob drifts to the right." in page.locator("p").inner_text()
    assert page.get_by_role("img", name="A blob drifts to the right.").bounding_box()["width"] > 200


def test_the_widget_trains_on_request_and_is_disposed_of(open_page):
    made = recording()
    data = figure_data(made, made.frames[:1], "Live", "A blob drifts.", autoplay=False)
    later = [frame_data(frame, made.extent) for frame in made.frames[1:3]]
    page = open_page("<div id=here></div>")
    page.evaluate(
        """async ([source, data, later]) => {
          const address = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
          const widget = (await import(address)).default;
          const hearers = new Set();
          window.said = [];
          const model = {
            get: () => data,
            on: (event, hearer) => hearers.add(hearer),
            off: (event, hearer) => hearers.delete(hearer),
            send: (content) => {
              said.push(content.command);
              const done = said.filter((command) => command == "step").length;
              if (content.command == "step") setTimeout(() => hearers.forEach((hearer) => hearer(done <= 2
                ? {index: done, frame: later[done - 1], finished: false} : {error: "ValueError: no more"})), 20);
            },
          };
          window.hearers = hearers;
          window.dispose = widget.render({model, el: document.getElementById("here")});
        }""",
        [MODULE, json.loads(json.dumps(data)), later],
    )
    assert page.evaluate("said") == ["hello"]  # it does not train before it is asked to
    page.get_by_role("button", name="Step").click()
    page.get_by_text("Round 100").wait_for()
    page.get_by_role("button", name="Train").click()
    page.get_by_text("ValueError: no more").wait_for()
    assert page.locator(".round").inner_text() == "Round 200"
    assert page.evaluate("said") == ["hello", "step", "step", "step"]
    page.evaluate("dispose()")
    assert page.locator("canvas").count() == 0
    assert page.evaluate("hearers.size") == 0
