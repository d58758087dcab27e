"""The latent walk: the plane, what is refused and stored, and in a real browser that every domain follows the dot."""

import base64
import inspect
import json
import re

import numpy as np
import pytest
import torch

from gan_course.widgets import LatentWalk, latent_plane, latent_walk

WORDS = ("One latent, two domains", "Bars and their colours move together.")
NAMES = ["bars", "colours"]
ROWS, COLUMNS = 4, 5


def plane(channels=1, height=6, width=6, rows=ROWS, columns=COLUMNS, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (rows, columns, channels, height, width), generator=draw) / 255


IMAGES = [plane(), plane(channels=3, height=5, width=8, seed=1)]


def figure(title=WORDS[0], images=IMAGES):
    return latent_walk(images, NAMES, title, WORDS[1]).html


def refused(message, images=IMAGES, names=NAMES, title=WORDS[0], description=WORDS[1]):
    with pytest.raises(ValueError, match=message):
        # Without the check of shapes that only tests put around it, which would answer first.
        inspect.unwrap(LatentWalk.__init__)(object.__new__(LatentWalk), images, names, title, description)


# The plane


def test_the_plane_is_the_formula():
    corners = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grid = latent_plane(corners, 4, 7).unflatten(0, (4, 7))
    for r in range(4):
        for c in range(7):
            s, t = r / 3, c / 6
            weights = torch.tensor([(1 - s) * (1 - t), (1 - s) * t, s * (1 - t), s * t], dtype=torch.float64)
            torch.testing.assert_close(grid[r, c], weights @ corners)


def test_the_corners_of_the_plane_are_the_latents_and_its_middle_their_mean():
    corners = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    grid = latent_plane(corners).unflatten(0, (9, 9))
    assert torch.equal(grid[[0, 0, -1, -1], [0, -1, 0, -1]], corners)
    torch.testing.assert_close(grid[4, 4], corners.mean(0))


def test_the_plane_stays_in_the_cube_and_keeps_the_type():
    corners = torch.tensor([[-1.0, 1], [1, 1], [1, -1], [-1, -1]], dtype=torch.float16)
    grid = latent_plane(corners, 3, 50)
    assert grid.dtype == torch.float16
    assert grid.abs().max() <= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3, 2),), r"corners must be four latents, .* not shape \(3, 2\)"),
        ((torch.zeros(4),), r"not shape \(4,\)"),
        ((torch.zeros(4, 0),), r"not shape \(4, 0\)"),
        (([[0.0]] * 4,), "not a list"),
        ((torch.zeros(4, 2, dtype=torch.int64),), "corners must be finite floating-point numbers; torch.int64"),
        ((torch.full((4, 2), torch.nan),), "NaN"),
        ((torch.zeros(4, 2), 1, 9), "rows=1 was given; it must be a whole number of at least 2"),
        ((torch.zeros(4, 2), 9, 51), "columns=51 .* at most 50"),
    ],
)
def test_bad_planes(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(latent_plane)(*arguments)


# What is refused


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([IMAGES[0], plane(rows=3)], "same rows and columns of points, not bars: 4 × 5, colours: 3 × 5"),
        ([IMAGES[0], plane(columns=6)], "bars: 4 × 5, colours: 4 × 6"),
        (
            [IMAGES[0], IMAGES[1] * 2 - 1],
            r"'colours' must be .* in \[0, 1\]; .* from -1 to 1 was given.*\(x \+ 1\) / 2",
        ),
        ([IMAGES[0] * 1.01, IMAGES[1]], r"'bars' .* from 0 to 1.01"),
        ([IMAGES[0] * torch.nan, IMAGES[1]], r"'bars' must be .* nan"),
        ([IMAGES[0], (IMAGES[1] * 255).byte()], r"torch.uint8 from 0 to 255 was given: divide bytes by 255"),
        ([IMAGES[0], IMAGES[1].flatten(0, 1)], r"'colours' .*not shape \(20, 3, 5, 8\); .*x.unflatten\(0, \(rows, col"),
        ([IMAGES[0], plane(channels=2)], r"with 1 or 3 channels, not shape \(4, 5, 2, 6, 6\)"),
        ([IMAGES[0], plane(height=0)], r"not shape \(4, 5, 1, 0, 6\)"),
        ([IMAGES[0], "colours"], "'colours' must be a tensor .* not a str"),
        ([plane(rows=1), plane(rows=1)], "'bars' have 1 rows and 5 columns of points; both must be from 2 to 50"),
        ([plane(columns=1), plane(columns=1)], "4 rows and 1 columns"),
        ([plane(columns=51), plane(columns=51)], "4 rows and 51 columns"),
        (IMAGES[:1], "images has 1 domains and names has 2; each domain needs one name"),
        (IMAGES[0], "images must be a list with a tensor for each domain, or a mapping, not a Tensor"),
        ("two", "not a str"),
        ({"bars": IMAGES[0], "colors": IMAGES[1]}, "names holds 'colours', which is none of .*: bars, colors"),
    ],
)
def test_bad_images(images, message):
    refused(message, images)


@pytest.mark.parametrize("names", ["ab", ["a", ""], ["a", " "], ["a", "a"], ["a", 2], [], None, b"ab", {"a", "b"}])
def test_bad_names(names):
    refused("names=.* was given; give a list with a name of its own for each domain", names=names)


def test_too_many_domains():
    refused("names has 7 entries; a figure shows at most 6", images=[plane()] * 7, names=list("abcdefg"))


def test_a_megabyte_is_enough():
    full = torch.zeros(10, 10, 1, 100, 50)
    latent_walk([full, full], NAMES, *WORDS)
    refused(
        "images hold 1,000,300 bytes of pixels and a figure holds 1,000,000 at most; take fewer points",
        images=[full, torch.zeros(10, 10, 1, 1, 5003)],
    )


def test_words_are_required():
    refused("title=.* words", title=" ")
    refused("description=.* words", description="")


# What is stored


def payload(page):
    return json.loads(re.search(r"mount\(element, (\{.*\})\);\n}\n</script>", page)[1])


def test_the_base64_decodes_to_the_images():
    shown = payload(figure())
    assert (shown["rows"], shown["columns"]) == (ROWS, COLUMNS)
    assert [domain["name"] for domain in shown["domains"]] == NAMES
    for domain, x in zip(shown["domains"], IMAGES, strict=True):
        stored = np.frombuffer(base64.b64decode(domain["pixels"]), np.uint8)
        shape = (ROWS, COLUMNS, domain["height"], domain["width"], domain["channels"])
        np.testing.assert_array_equal(stored.reshape(shape), (x * 255).round().movedim(2, -1).numpy())


def test_values_are_rounded_to_the_nearest_byte():
    x = torch.linspace(0, 1, 2 * 2 * 64, dtype=torch.float64).view(2, 2, 1, 8, 8)
    stored = latent_walk([x.half(), x], NAMES, *WORDS).pixels
    for pixels in stored:
        assert abs(pixels.squeeze(-1) / 255 - x.squeeze(2).numpy()).max() <= 0.5 / 255 + 2**-11


def test_a_mapping_is_shown_in_the_order_of_the_names():
    bars, colours = IMAGES
    mapped = latent_walk({"colours": colours, "bars": bars}, NAMES, *WORDS)
    assert mapped.html == figure()


def test_the_html_asks_nobody_for_anything_and_has_words():
    made = latent_walk(IMAGES, ["bars", "<i>&"], "One latent.", "Bars </script> move.")
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == (
        "Latent walk over 4 × 5 points in 2 domains (bars, <i>&): One latent. Bars </script> move."
    )
    page = bundle["text/html"]
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", page)
    assert page.count("</script>") == 1
    assert 'alt="Bars &lt;/script&gt; move."' in page
    assert made.html == page  # the same output for the same images


def test_a_name_is_no_formula():
    assert "data:image/png" in latent_walk(IMAGES, [r"$\frac{", "$"], *WORDS).html


def test_digits_in_two_domains_stay_small():
    digits = plane(height=28, width=28, rows=9, columns=9)
    assert len(latent_walk([digits, 1 - digits], NAMES, *WORDS).html) < 300_000


# In a browser


def slider(page, place=0):
    return page.get_by_role("slider", name="Point of the latent plane").nth(place)


def shown(page, place=0):
    """What the canvases hold, each `(height, width, 3)`."""
    script = """canvas => { const {width, height} = canvas;
      const copy = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
      copy.drawImage(canvas, 0, 0);
      return {width, height, values: [...copy.getImageData(0, 0, width, height).data]}; }"""
    found = [
        canvas.evaluate(script)
        for canvas in page.locator("[data-gan-course]").nth(place).locator(".domain canvas").all()
    ]
    assert all(set(canvas["values"][3::4]) == {255} for canvas in found)
    return [np.array(c["values"]).reshape(c["height"], c["width"], 4)[..., :3] for c in found]


def assert_at(page, row, column, place=0):
    """Every domain shows the very pixels of this point, and the words say where it is."""
    for canvas, x in zip(shown(page, place), IMAGES, strict=True):
        expected = (x[row, column] * 255).round().movedim(0, -1).expand(*x.shape[3:], 3)
        np.testing.assert_array_equal(canvas, expected.numpy())
    words = f"row {row + 1} of {ROWS}, column {column + 1} of {COLUMNS}"
    assert slider(page, place).get_attribute("aria-valuetext") == words
    assert slider(page, place).get_attribute("aria-valuenow") == str(row * COLUMNS + column + 1)
    assert page.locator(".where").nth(place).inner_text() == "R" + words[1:]


def middle(page, row, column):
    """Where a point of the plane lies on the screen."""
    box = page.locator(".pad").bounding_box()
    return box["x"] + (column + 0.5) / COLUMNS * box["width"], box["y"] + (row + 0.5) / ROWS * box["height"]


def test_the_arrow_keys_walk_and_every_domain_follows(open_page):
    page = open_page(figure())
    assert_at(page, 2, 2)
    slider(page).focus()
    row, column = 2, 2
    for key, down, right in [("ArrowUp", -1, 0), ("ArrowRight", 0, 1), ("ArrowDown", 1, 0), ("ArrowLeft", 0, -1)] * 2:
        page.keyboard.press(key)
        row, column = row + down, column + right
        assert_at(page, row, column)
    for key, row, column in [("End", 2, 4), ("PageUp", 0, 4), ("Home", 0, 0), ("PageDown", 3, 0)]:
        page.keyboard.press(key)
        assert_at(page, row, column)


def test_the_plane_has_an_edge(open_page):
    page = open_page(figure())
    slider(page).focus()
    for key in ("ArrowUp", "ArrowLeft"):
        for _ in range(4):
            page.keyboard.press(key)
    assert_at(page, 0, 0)
    for key in ("ArrowDown", "ArrowRight"):
        for _ in range(6):
            page.keyboard.press(key)
    assert_at(page, ROWS - 1, COLUMNS - 1)


def test_dragging_walks_and_stops_at_the_edge(open_page):
    page = open_page(figure())
    page.mouse.move(*middle(page, 2, 2))
    page.mouse.down()
    page.mouse.move(*middle(page, 1, 3))
    assert_at(page, 1, 3)
    page.mouse.move(*middle(page, -5, 9))  # off the plane, and still held
    assert_at(page, 0, COLUMNS - 1)
    page.mouse.up()
    page.mouse.move(*middle(page, 3, 0))  # no longer held
    assert_at(page, 0, COLUMNS - 1)
    page.mouse.click(*middle(page, 3, 1))
    assert_at(page, 3, 1)
    page.keyboard.press("ArrowUp")  # the dot has the focus
    assert_at(page, 2, 1)


def test_the_nearest_point_is_shown_and_the_dot_stands_on_it(open_page):
    page = open_page(figure())
    x, y = middle(page, 1, 1)
    box = page.locator(".pad").bounding_box()
    page.mouse.click(x + 0.45 * box["width"] / COLUMNS, y - 0.45 * box["height"] / ROWS)
    assert_at(page, 1, 1)
    dot = slider(page).bounding_box()
    assert dot["x"] + dot["width"] / 2 == pytest.approx(x, abs=1)
    assert dot["y"] + dot["height"] / 2 == pytest.approx(y, abs=1)


def test_a_finger_drags_the_dot_and_not_the_page(open_page):
    tall = "<meta name=viewport content='width=device-width'>" + figure() + "<div style='height: 3000px'></div>"
    page = open_page(tall, width=390, has_touch=True, is_mobile=True)
    finger = page.context.new_cdp_session(page)
    for kind, at in [("touchStart", (3, 2)), ("touchMove", (2, 2)), ("touchMove", (0, 1)), ("touchEnd", None)]:
        points = [dict(zip("xy", middle(page, *at), strict=True))] if at else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert_at(page, 0, 1)
    assert page.evaluate("scrollY") == 0


def test_the_other_mouse_button_is_left_alone(open_page):
    page = open_page(figure())
    page.mouse.click(*middle(page, 0, 0), button="right")
    assert_at(page, 2, 2)


def test_keys_do_not_reach_the_page(open_page):
    page = open_page(figure())
    page.evaluate("window.heard = 0; document.addEventListener('keydown', () => window.heard++)")
    slider(page).press("ArrowLeft")
    assert page.evaluate("window.heard") == 0  # slides would turn the page
    slider(page).press("Control+ArrowLeft")  # the browser's own
    assert_at(page, 2, 1)


def test_pixels_are_crisp_and_images_keep_their_shape(open_page):
    page = open_page(figure())
    for canvas, x in zip(page.locator(".domain canvas").all(), IMAGES, strict=True):
        assert canvas.evaluate("canvas => getComputedStyle(canvas).imageRendering") == "pixelated"
        box = canvas.bounding_box()
        assert box["width"] / box["height"] == pytest.approx(x.shape[-1] / x.shape[-2], rel=0.03)
        assert box["width"] > 100


def test_the_map_shows_the_first_domain(open_page):
    flat = torch.zeros(2, 3, 1, 4, 4)
    flat[1, 2] = 1
    page = open_page(figure(images=[flat, plane(rows=2, columns=3)]))
    script = "map => [...map.getContext('2d').getImageData(0, 0, 720, 720).data]"
    values = np.array(page.locator(".map").evaluate(script)).reshape(720, 720, 4)
    assert values[180::360, 120::240, 0].tolist() == [[0, 0, 0], [0, 0, 255]]
    assert values[180::360, 120::240, 3].tolist() == [[255] * 3] * 2
    assert values[30, 120, 3] == 0  # the images are square, and the cells are not


def test_alternative_text_and_two_figures_on_a_page(open_page):
    page = open_page(figure() + figure(title="Another"))
    assert page.get_by_role("img", name=WORDS[1]).count() == 2  # the maps; the posters are hidden
    assert page.get_by_role("figure", name="Another").count() == 1
    slider(page, 0).press("Home")
    assert_at(page, 2, 0)
    assert_at(page, 2, 2, place=1)
    for name in NAMES:
        assert page.get_by_role("img", name=f"{name} at row 3 of 4, column 1 of 5").count() == 1
        assert page.get_by_role("figure", name=name).count() == 2
    assert page.locator(".domain figcaption").all_inner_texts() == NAMES * 2


def test_a_name_is_words_and_no_markup(open_page):
    page = open_page(latent_walk(IMAGES, ["<b>bars</b>", "&amp;"], *WORDS).html)
    assert page.locator(".domain figcaption").all_inner_texts() == ["<b>bars</b>", "&amp;"]


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_has_room_and_the_parts_stack(open_page, width):
    page = open_page("<meta name=viewport content='width=device-width'>" + figure(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pad, domains = page.locator(".pad").bounding_box(), page.locator(".domains").bounding_box()
    assert domains["y"] >= pad["y"] + pad["height"]
    assert pad["width"] == pytest.approx(pad["height"], abs=1)
    page.set_viewport_size({"width": 900, "height": 900})
    pad, domains = page.locator(".pad").bounding_box(), page.locator(".domains").bounding_box()
    assert domains["x"] >= pad["x"] + pad["width"]


def test_dark_when_the_page_says_so(open_page):
    page = open_page(figure())
    assert page.locator(".figure[data-theme=light]").count() == 1
    page.evaluate("document.documentElement.setAttribute('data-theme', 'dark')")
    page.locator(".figure[data-theme=dark]").wait_for()
    assert open_page(figure(), color_scheme="dark").locator(".figure[data-theme=dark]").count() == 1


def test_without_scripts_the_poster_and_the_words_stand(open_page):
    page = open_page(figure(), java_script_enabled=False)
    assert WORDS[1] in page.locator("p").inner_text()
    assert page.get_by_role("img", name=WORDS[1]).bounding_box()["width"] > 200
