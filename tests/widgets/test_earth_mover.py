"""The earth mover: what it refuses, and in a real browser that its sums are right and the keyboard is enough."""

import json
import re

import pytest
import torch

from gan_course import metrics
from gan_course.widgets import earth_mover

WORDS = ("Fill the holes", "A pile above a line, holes below it.")
PILE = torch.tensor([1.0, 2, 3, 0, 0, 0, 0, 0]) / 6
HOLES = torch.tensor([0.0, 2, 0, 1, 0, 2, 1, 0]) / 6
PLACES = torch.arange(8, dtype=torch.float64)


def figure(shift=0, title=WORDS[0], pile=PILE, holes=HOLES):
    return earth_mover(pile, holes, title, WORDS[1], shift).html


def least(shift):
    """What the page should say, from the package's linear programme."""
    return metrics.transport_plan(PILE.roll(shift), HOLES, (PLACES[:, None] - PLACES).abs()).cost


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2 * PILE, HOLES), "pile has .* sum 2.*Divide counts"),
        ((PILE, HOLES[1:]), "pile has 8 places and holes has 7; both need the same places, from 2 to 24"),
        ((torch.ones(1), torch.ones(1)), "from 2 to 24"),
        ((torch.full((12,), 1 / 12), torch.full((12,), 1 / 12)), "pile has 12 places that are not empty; at most 10"),
    ],
)
def test_bad_histograms(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        unchecked(earth_mover)(*arguments, *WORDS)


@pytest.mark.parametrize("shift", [-1, 6])
def test_the_pile_stays_on_the_line(shift, unchecked):
    with pytest.raises(ValueError, match=f"shift={shift} moves the pile off its 8 places; allowed: from 0 to 5"):
        unchecked(earth_mover)(PILE, HOLES, *WORDS, shift)


def test_words_are_required():
    with pytest.raises(ValueError, match=r"title=.* words"):
        earth_mover(PILE, HOLES, "", "text")


def test_the_html_asks_nobody_for_anything_and_has_words():
    made = earth_mover(PILE, HOLES, *WORDS, 2)
    bundle = made._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == "Earth mover with 8 places: Fill the holes. A pile above a line, holes below it."
    page = bundle["text/html"].replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"(https?:)?//[a-z0-9.-]+\.[a-z]{2,}", page)
    assert 'alt="A pile above a line, holes below it."' in page
    content = json.loads(re.search(r"mount\(element, (\{.*\})\);\n}\n</script>", page)[1])
    assert content["shift"] == 2
    torch.testing.assert_close(torch.tensor(content["pile"]), PILE)
    assert len(page) < 60_000


# In a browser


def said(page):
    cost = re.match(r"\d+\.\d+", page.locator(".cost").inner_text())[0]
    lowest = re.search(r"W₁ = (\d+\.\d+)", page.locator(".found").inner_text())[1]
    return float(cost), float(lowest)


def test_the_best_plan_is_the_linear_programmes_for_every_shift(open_page):
    page = open_page(figure())
    slider = page.get_by_role("slider", name="Shift of the pile")
    for shift in range(6):
        assert said(page) == (pytest.approx(least(shift), abs=0.006),) * 2
        assert page.locator(".where").inner_text() == (f"+{shift}" if shift else "0")
        slider.press("ArrowRight")
    assert page.locator(".where").inner_text() == "+5"  # the end of the line
    assert "best average distance" in slider.get_attribute("aria-valuetext")


def test_other_plans_cost_more_and_say_how_much(open_page):
    page = open_page(figure(shift=2))
    plans = page.get_by_role("combobox", name="Plan")
    apart = (PLACES[:, None] - PLACES).abs()
    even = float((PILE.roll(2)[:, None] * HOLES * apart).sum())
    plans.select_option("even")
    assert said(page) == (pytest.approx(even, abs=0.006), pytest.approx(least(2), abs=0.006))
    assert f"{even - least(2):.2f} less" in page.locator(".found").inner_text()
    plans.select_option("crosswise")
    assert said(page)[0] > said(page)[1]


def test_disjoint_histograms_are_log_two_apart_however_far(open_page):
    pile, holes = torch.zeros(8), torch.zeros(8)
    pile[0] = holes[7] = 1
    page = open_page(figure(pile=pile, holes=holes))
    for shift in range(7):
        assert said(page) == (7 - shift, 7 - shift)
        assert "Jensen–Shannon: 0.693 = log 2" in page.locator(".found").inner_text()
        page.get_by_role("slider").press("ArrowRight")
    assert "Jensen–Shannon: 0.000." in page.locator(".found").inner_text()


def test_two_entries_exchange_where_they_go_and_nothing_is_lost(open_page):
    halves = torch.tensor([0.5, 0.5, 0, 0]), torch.tensor([0, 0.5, 0.5, 0])
    page = open_page(figure(pile=halves[0], holes=halves[1], shift=1))
    assert said(page) == (0, 0)
    page.get_by_role("gridcell", name="0.50 from place 1 to place 1, distance 0").click()
    assert page.get_by_role("gridcell", selected=True).count() == 1
    page.get_by_role("gridcell", name="0.50 from place 2 to place 2").click()
    assert said(page) == (1, 0)
    assert page.locator(".found").inner_text().startswith("Exchanged: 1.00 wasted.")
    assert page.locator(".cell").all_inner_texts() == ["", ".50", ".50", ""]
    assert page.get_by_role("combobox").input_value() == "own"
    page.get_by_role("slider").press("ArrowLeft")  # all holes ahead of all earth: every plan costs the same
    assert said(page) == (1, 1)
    page.get_by_role("combobox").select_option("best")
    assert page.locator(".cell").all_inner_texts() == [".50", "", "", ".50"]


def test_an_empty_entry_has_nothing_to_exchange(open_page):
    page = open_page(figure())
    page.get_by_role("gridcell", name="0.00 from").first.click()
    assert page.locator(".found").inner_text().startswith("Nothing goes there")
    assert page.get_by_role("gridcell", selected=True).count() == 0


def test_the_keyboard_alone_is_enough_and_keeps_to_the_figure(open_page):
    page = open_page(figure(shift=2))
    page.evaluate("window.heard = 0; document.addEventListener('keydown', () => window.heard++)")
    focused = "document.querySelector('[data-gan-course]').shadowRoot.activeElement"
    page.get_by_role("checkbox", name="Critic").focus()
    page.keyboard.press("Tab")  # the matrix is one stop
    assert page.evaluate(f"{focused}.getAttribute('aria-label')") == "0.17 from place 2 to place 1, distance 1"
    page.keyboard.press("Enter")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate(f"{focused}.getAttribute('aria-label')") == "0.33 from place 4 to place 5, distance 1"
    page.keyboard.press("Enter")
    assert page.locator(".found").inner_text().startswith("Exchanged")
    assert page.evaluate(f"{focused}.className").startswith("cell")  # the focus stays where it was
    assert page.evaluate("heard") == 0


def test_the_critic_scores_the_holes_higher_by_the_least_cost(open_page):
    page = open_page(figure(shift=3))
    assert page.locator(".critic-line").count() == 0
    page.get_by_role("checkbox", name="Critic").check()
    assert page.locator(".critic-line").count() == 1
    assert f"scores the holes {least(3):.2f} higher" in page.locator(".found").inner_text()


def test_alternative_text_and_two_figures_on_a_page(open_page):
    page = open_page(figure() + figure(title="Another", shift=2))
    assert page.get_by_role("img", name=WORDS[1]).count() == 2  # the drawings; the posters are hidden
    assert page.get_by_role("figure", name="Another").count() == 1
    page.get_by_role("slider").nth(0).press("End")
    assert page.locator(".where").all_inner_texts() == ["+5", "+2"]


def test_a_phone_has_room(open_page):
    page = open_page("<meta name=viewport content='width=device-width'>" + figure(), width=320)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_dark_when_the_page_says_so(open_page):
    page = open_page(figure())
    page.evaluate("document.documentElement.setAttribute('data-theme', 'dark')")
    page.locator(".figure[data-theme=dark]").wait_for()
    assert open_page(figure(), color_scheme="dark").locator(".figure[data-theme=dark]").count() == 1


def test_without_scripts_the_poster_and_the_words_stand(open_page):
    page = open_page(figure(), java_script_enabled=False)
    assert WORDS[1] in page.locator("p").inner_text()
    assert page.get_by_role("img", name=WORDS[1]).bounding_box()["width"] > 200
