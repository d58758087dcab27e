"""The pages in a browser that has no network: mathematics, search, pictures, colours, small screens, silence.

Skipped where there is no Chromium, unless GAN_COURSE_BROWSER=required.
"""

import functools
import http.server
import threading
from urllib.parse import urlsplit

import pytest
from browser import NOTICE, find_chromium, required
from test_build import toc

PAGES = [f"{name}.html" for name in toc()]
CHROMIUM = find_chromium()
ALLOWED_ERROR = "THEBE_JS_URL"  # sphinx-thebe declares a constant twice, on every page; harmless

if CHROMIUM is None and not required():
    pytest.skip(NOTICE, allow_module_level=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files, log nothing."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def address(pages):
    """The book served on a port of this machine, as `make serve` does."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(pages)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    assert CHROMIUM, "GAN_COURSE_BROWSER=required, but there is no Chromium"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page, what it asked of other sites (all refused) and what it complained about."""

    def __init__(self, browser, address, name, **context):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.address, self.external, self.errors, self.failed = address, [], [], []
        self.context.route("**/*", self._route)
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda r: self.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.goto(f"{address}/{name}", wait_until="load")
        self.page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")  # what is loaded when it is seen
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("() => window.MathJax?.startup?.promise")

    def _route(self, route):
        url = route.request.url
        if url.startswith(self.address) or urlsplit(url).scheme in ("data", "blob"):
            route.continue_()
        else:
            self.external.append(url)
            route.abort()

    def complaints(self):
        return [error for error in self.errors if ALLOWED_ERROR not in error]


@pytest.fixture(scope="module", params=PAGES)
def seen(request, browser, address):
    """Each page of the book, as it looks when all of it has been loaded."""
    visit = Visit(browser, address, request.param)
    yield visit
    visit.context.close()


@pytest.fixture
def visit(browser, address):
    """A function that opens a page for this test alone."""
    visits = []

    def make(name="index.html", **context):
        visits.append(Visit(browser, address, name, **context))
        return visits[-1]

    yield make
    for made in visits:
        made.context.close()


def formulas(page) -> list[dict]:
    """Every formula of the page: its text, whether it was drawn (or lies behind a fold), whether TeX was refused."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.math')].map(element => ({
             text: element.textContent.slice(0, 80),
             drawn: [...element.querySelectorAll('mjx-container svg')].some(
                      svg => svg.getBoundingClientRect().width > 0 || !svg.checkVisibility()),
             refused: element.querySelector('[data-mjx-error]') !== null }))"""
    )


def wrong(found: list[dict]) -> list[dict]:
    """The formulas among them that a reader would not see."""
    return [formula for formula in found if formula["refused"] or not formula["drawn"]]


def overflow(page) -> int:
    """How many pixels of the page lie beyond the right edge of the window."""
    return page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


# every page


def test_the_page_asks_nothing_of_other_sites_and_complains_of_nothing(seen):
    assert not seen.external
    assert not seen.failed
    assert not seen.complaints()


def test_mathematics_is_typeset(seen):
    assert not wrong(formulas(seen.page))


def test_pictures_are_shown_and_described(seen):
    pictures = seen.page.evaluate(
        "() => [...document.querySelectorAll('main img')].map(i => ({src: i.src, alt: i.alt, width: i.naturalWidth}))"
    )
    for picture in pictures:
        described = (picture["alt"] or "").strip()
        assert picture["width"] > 0, f"not shown: {picture['src'][:120]}"
        assert described, f"no alternative text: {picture['src'][:120]}"
        assert described not in picture["src"], f"the file's name is no description: {described}"


def test_a_small_screen_needs_no_sideways_scrolling(seen):
    seen.page.set_viewport_size({"width": 390, "height": 844})
    seen.page.wait_for_timeout(200)  # the layout settles
    assert overflow(seen.page) <= 0


# the book as a whole


def test_search_finds_a_word(visit):
    found = visit("search.html?q=discriminator")
    found.page.wait_for_selector("#search-results li a")
    links = found.page.locator("#search-results li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any(link.startswith("book/notation.html") for link in links)
    assert not found.external


def test_the_notation_has_formulas(visit):
    assert len(formulas(visit("book/notation.html").page)) > 20


def test_the_dark_mode_is_dark(visit):
    def ground(scheme):
        colour = visit(color_scheme=scheme).page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")[:3])

    assert ground("dark") < 3 * 64
    assert ground("light") > 3 * 192


def test_the_colours_can_be_switched(visit):
    page = visit(color_scheme="light").page
    mode = "() => document.documentElement.dataset.theme"
    modes = {page.evaluate(mode)}
    for _ in range(3):
        page.locator(".theme-switch-button:visible").first.click()
        modes.add(page.evaluate(mode))
    assert modes == {"light", "dark"}


def test_one_header_and_one_search_box(visit):
    page = visit().page
    assert page.locator("header.bd-header:visible").count() <= 1
    assert page.locator("input[type=search]:visible").count() <= 1


# the tests above can fail


def test_requests_and_errors_are_noticed(visit):
    planted = visit()
    planted.page.evaluate("() => fetch('https://example.org/x.js').catch(() => null)")
    planted.page.evaluate("() => fetch('/missing.js')")
    planted.page.evaluate("() => console.error('planted')")
    planted.page.wait_for_load_state("networkidle")
    assert planted.external == ["https://example.org/x.js"]
    assert any("missing.js" in failure for failure in planted.failed)
    assert "planted" in planted.complaints()


def test_a_formula_not_drawn_is_noticed(visit):
    page = visit("book/notation.html").page
    page.evaluate("() => document.querySelector('.math mjx-container').remove()")
    assert len(wrong(formulas(page))) == 1


def test_an_overflow_is_noticed(visit):
    page = visit().page
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("() => document.querySelector('main article h1').style.cssText = 'width: 900px'")
    assert overflow(page) > 0
