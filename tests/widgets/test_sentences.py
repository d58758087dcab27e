"""Sentences: what is refused and stored, and in a real browser that lines and dot follow writer and dial."""

import inspect
import json
import math
import re

import pytest

from gan_course.widgets import Sentences, sentences

WORDS = ("A dial", "Colder writers say less.")
SETTINGS = ["0.5", "1", "2"]
WROTE = {
    "first": [((1.0, 10.0), ["a b", "a"]), ((2.0, 20.0), ["b"]), ((3.0, 40.0), ["b a", "", "a a"])],
    "second": [((1.5, 12.0), ["c"]), ((2.5, 24.0), ["c c"]), ((5.0, 30.0), ["c d"])],
}
MARK = (4.0, 15.0)


def arguments(**changes):
    fixed = {"writers": WROTE, "settings": SETTINGS, "dial": "temperature", "axes": ["right, %", "different"]}
    return {**fixed, "title": WORDS[0], "description": WORDS[1], "mark": MARK, "start": 1, **changes}


def html(**changes):
    return sentences(**arguments(**changes)).html


def written(point=(0.0, 0.0), lines=("a",)):
    return {"one": [(point, lines)] * 3}


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"writers": {}}, "writers must be a mapping from 1 to 6 names .* not 0 of them"),
        ({"writers": [1]}, "not a list"),
        ({"writers": {str(i): WROTE["first"] for i in range(7)}}, "not 7 of them"),
        ({"writers": {" ": WROTE["first"]}}, "names of writers must be a list of texts"),
        ({"writers": {"one": WROTE["first"][:2]}}, "'one'.* a pair for each of 3 settings"),
        ({"writers": {"one": [((0.0, 0.0),)] * 3}}, "'one'.* a pair for each of 3 settings"),
        ({"writers": {"one": "abc"}}, "'one'.* a pair for each"),
        ({"writers": written((0.0, math.nan))}, r"'one'.*\[0\] must have two finite numbers .* nan"),
        ({"writers": written((0.0,))}, "two finite numbers"),
        ({"writers": written((0.0, True))}, "two finite numbers"),
        ({"writers": written(lines=[])}, "lines of 'one' must be a list of texts, from 1 to 20"),
        ({"writers": written(lines=["a"] * 21)}, "lines of 'one'"),
        ({"writers": written(lines=["a" * 301])}, "at most 300 letters"),
        ({"writers": written(lines=[3])}, "lines of 'one'"),
        ({"settings": ["1"]}, "settings must be a list of texts, from 2 to 50"),
        ({"settings": "123"}, "settings must be a list of texts"),
        ({"settings": ["1", "", "2"]}, "settings must be a list of texts"),
        ({"axes": ["x"]}, "axes must be a list of texts, from 2 to 2"),
        ({"dial": " "}, "dial=.* words"),
        ({"title": ""}, "title=.* words"),
        ({"description": ""}, "description=.* words"),
        ({"mark": (1.0, math.inf)}, "mark must have two finite numbers"),
        ({"start": 3}, "start=3 was given; it must be a whole number of at least 0 and at most 2"),
    ],
)
def test_what_cannot_be_shown_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        # Without the check of types that only tests put around it, which would answer first.
        inspect.unwrap(Sentences.__init__)(object.__new__(Sentences), **arguments(**changes))


# What is stored


def test_the_page_holds_what_was_given_and_asks_nobody():
    page = html()
    shown = json.loads(re.search(r"mount\(element, (\{.*\})\);\n}\n</script>", page)[1])
    for writer, (name, rows) in zip(shown["writers"], WROTE.items(), strict=True):
        assert writer == {"name": name, "points": [list(p) for p, _ in rows], "lines": [lines for _, lines in rows]}
    assert (shown["settings"], shown["start"], shown["mark"]) == (SETTINGS, 1, list(MARK))
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", page.replace("http://www.w3.org/2000/svg", ""))
    assert 'alt="Colder writers say less."' in page
    assert html() == page


def test_words_are_no_markup_and_no_formula():
    made = sentences(**arguments(writers={r"$\frac{ <i>": WROTE["first"]}, axes=["$x", "</script>"]))
    assert made.html.count("</script>") == 1
    bundle = made._repr_mimebundle_()
    assert bundle["text/html"] == made.html
    assert bundle["text/plain"] == r"Sentences of $\frac{ <i> at 3 settings: A dial. Colder writers say less."


# In a browser


def dial(page, place=0):
    return page.get_by_role("slider", name="temperature").nth(place)


def assert_shown(page, name, at):
    (x, y), lines = WROTE[name][at]
    assert page.locator(".lines li").all_text_contents() == lines
    assert page.locator(".where").inner_text() == (
        f"{name}, temperature {SETTINGS[at]}. right, %: {x:g}; different: {y:g}"
    )
    assert dial(page).get_attribute("aria-valuetext") == SETTINGS[at]
    points = [tuple(map(float, pair.split(","))) for pair in page.locator(".path.on").get_attribute("points").split()]
    dot = page.locator(".at")
    assert (float(dot.get_attribute("cx")), float(dot.get_attribute("cy"))) == points[at]


def test_lines_and_dot_follow_the_dial_and_the_writer(open_page):
    page = open_page(html())
    assert_shown(page, "first", 1)
    dial(page).press("ArrowRight")
    assert_shown(page, "first", 2)
    page.get_by_role("combobox", name="Writer").select_option("second")
    assert_shown(page, "second", 2)
    dial(page).press("Home")
    assert_shown(page, "second", 0)


def test_the_plane_is_in_proportion(open_page):
    page = open_page(html())
    paths = [
        [tuple(map(float, pair.split(","))) for pair in path.get_attribute("points").split()]
        for path in page.locator(".path").all()
    ]
    drawn = [point for path in paths for point in path]
    given = [point for rows in WROTE.values() for point, _ in rows]
    for axis in range(2):
        slope = (drawn[2][axis] - drawn[0][axis]) / (given[2][axis] - given[0][axis])
        assert slope > 0 if axis == 0 else slope < 0  # up is less on a screen
        for one, other in zip(drawn, given, strict=True):
            assert one[axis] - drawn[0][axis] == pytest.approx(slope * (other[axis] - given[0][axis]), abs=1e-6)
    ticks = page.locator("svg text").all_text_contents()[:4]
    assert ticks == ["1", "5", "10", "40"]  # the least and the most of both numbers
    assert page.locator(".mark").count() == 1
    assert open_page(html(mark=None)).locator(".mark").count() == 0


def test_equal_numbers_have_a_place_too(open_page):
    page = open_page(html(writers={"one": [((0.0, 3.0), ["a"])] * 3}, mark=None))
    x, y = (float(page.locator(".at").get_attribute(name)) for name in ("cx", "cy"))
    assert (x, y) == (pytest.approx(238), pytest.approx(144))


def test_two_figures_stand_side_by_side_and_have_their_words(open_page):
    page = open_page(html() + html(title="Another"))
    assert page.get_by_role("img", name=WORDS[1]).count() == 2
    assert page.get_by_role("figure", name="Another").count() == 1
    dial(page, 1).press("End")
    assert dial(page, 0).get_attribute("aria-valuetext") == "1"
    assert dial(page, 1).get_attribute("aria-valuetext") == "2"


def test_keys_do_not_reach_the_page(open_page):
    page = open_page(html())
    page.evaluate("window.heard = 0; document.addEventListener('keydown', () => window.heard++)")
    dial(page).press("ArrowLeft")
    assert page.evaluate("window.heard") == 0


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_has_room(open_page, width):
    page = open_page("<meta name=viewport content='width=device-width'>" + html(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".lines").bounding_box()["y"] > page.locator("svg").bounding_box()["y"]


def test_dark_when_the_page_says_so(open_page):
    page = open_page(html())
    assert page.locator(".figure[data-theme=light]").count() == 1
    page.evaluate("document.documentElement.setAttribute('data-theme', 'dark')")
    page.locator(".figure[data-theme=dark]").wait_for()


def test_without_scripts_the_poster_and_the_words_stand(open_page):
    page = open_page(html(), java_script_enabled=False)
    assert WORDS[1] in page.locator("p").inner_text()
    assert page.get_by_role("img", name=WORDS[1]).bounding_box()["width"] > 200
