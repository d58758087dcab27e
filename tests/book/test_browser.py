"""The pages in a browser that has no network: mathematics, search, pictures, colours, small screens, silence.

Skipped where there is no Chromium, unless GAN_COURSE_BROWSER=required.
"""

import functools
import http.server
import threading
from pathlib import Path
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
    """The book served on a port of this machine, as a reader's `make serve` does."""
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

    def __init__(self, browser, address, **context):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.address, self.external, self.errors, self.failed = address, [], [], []
        self.context.route("**/*", self._route)
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda r: self.failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _route(self, route):
        url = route.request.url
        if url.startswith(self.address) or urlsplit(url).scheme in ("data", "blob"):
            route.continue_()
        else:
            self.external.append(url)
            route.abort()

    def go(self, name):
        self.page.goto(f"{self.address}/{name}", wait_until="load")
        self.page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")  # what is loaded when it is seen
        self.page.wait_for_load_state("networkidle")
        return self.page

    def complaints(self):
        return [error for error in self.errors if ALLOWED_ERROR not in error]


@pytest.fixture
def visit(browser, address):
    visits = []

    def make(**context):
        visits.append(Visit(browser, address, **context))
        return visits[-1]

    yield make
    for made in visits:
        made.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_asks_nothing_of_other_sites_and_complains_of_nothing(visit, name):
    seen = visit()
    seen.go(name)
    assert not seen.external
    assert not seen.failed
    assert not seen.complaints()


def test_a_request_to_another_site_would_be_noticed(visit):
    seen = visit()
    page = seen.go("index.html")
    page.evaluate("() => fetch('https://example.org/x.js').catch(() => null)")
    assert seen.external == ["https://example.org/x.js"]
    page.evaluate("() => console.error('planted')")
    page.evaluate("() => fetch('/missing.js')")
    page.wait_for_load_state("networkidle")
    assert any("planted" in error for error in seen.complaints())
    assert any("missing.js" in failure for failure in seen.failed)


@pytest.mark.parametrize("name", PAGES)
def test_mathematics_is_typeset(visit, name):
    page = visit().go(name)
    if not page.locator(".math").count():
        assert page.locator("mjx-container").count() == 0  # such a page loads no MathJax
        return
    page.wait_for_function("() => window.MathJax?.startup?.promise")
    page.evaluate("() => MathJax.startup.promise")
    outcome = page.evaluate(
        """() => [...document.querySelectorAll('.math')].map(e => ({
             text: e.textContent.slice(0, 80),
             drawn: [...e.querySelectorAll('mjx-container svg')].some(s => s.getBoundingClientRect().width > 0)
                    || e.closest('details:not([open]), .toggle-hidden, .admonition.dropdown') !== null,
             wrong: e.querySelector('mjx-merror, [data-mjx-error]') !== null }))"""
    )
    assert not [formula for formula in outcome if formula["wrong"] or not formula["drawn"]]


@pytest.mark.parametrize("name", PAGES)
def test_pictures_are_shown_and_described(visit, name):
    page = visit().go(name)
    pictures = page.evaluate(
        "() => [...document.querySelectorAll('main img')].map(i => ({src: i.src, alt: i.alt, width: i.naturalWidth}))"
    )
    for picture in pictures:
        described = (picture["alt"] or "").strip()
        assert picture["width"] > 0, f"not shown: {picture['src'][:120]}"
        assert described, f"no alternative text: {picture['src'][:120]}"
        assert described not in picture["src"], f"the file's name is no description: {described}"


def test_search_finds_a_word(visit):
    seen = visit()
    page = seen.go("search.html?q=discriminator")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert any(link.startswith(("index.html", "book/notation.html")) for link in found)
    assert not seen.external


def test_the_dark_mode_is_dark(visit):
    def ground(scheme):
        page = visit(color_scheme=scheme).go("index.html")
        colour = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")[:3])

    assert ground("dark") < 3 * 64 < 3 * 192 < ground("light")


def test_the_colours_can_be_switched(visit):
    page = visit(color_scheme="light").go("index.html")
    mode = "() => document.documentElement.dataset.theme"
    seen = {page.evaluate(mode)}
    for _ in range(3):
        page.locator(".theme-switch-button:visible").first.click()
        seen.add(page.evaluate(mode))
    assert seen == {"light", "dark"}


def overflow(page) -> int:
    """How many pixels of the page lie beyond the right edge of the window."""
    return page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("name", PAGES)
def test_a_small_screen_needs_no_sideways_scrolling(visit, name):
    page = visit().go(name)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(200)  # the layout settles
    assert overflow(page) <= 0


def test_an_overflow_would_be_noticed(visit):
    page = visit().go("index.html")
    page.set_viewport_size({"width": 390, "height": 844})
    page.evaluate("() => document.querySelector('main h1').style.cssText = 'width: 900px'")
    assert overflow(page) > 0


def test_one_search_box_and_one_header(visit):
    page = visit().go("index.html")
    assert page.locator("header.bd-header:visible").count() <= 1
    assert page.locator("input[type=search]:visible").count() <= 1


def test_pages_need_no_files_beyond_their_folder(pages):
    assert not [path for path in Path(pages).rglob("*") if path.is_symlink()]
