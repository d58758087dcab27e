import shutil

import pytest

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)


@pytest.fixture(scope="module")
def browser():
    """A real browser; where there is none, the tests that ask for it are skipped, with a notice."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="NOTICE: the figures were not tried: playwright is missing"
    )
    if CHROMIUM is None:
        pytest.skip("NOTICE: the figures were not tried: there is no Chromium here")
    with sync_api.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser):
    """Opens HTML in a page; at the end no request went out and nothing was complained about."""
    contexts, complaints, requests = [], [], []

    def opened(body, width=900, **settings):
        context = browser.new_context(viewport={"width": width, "height": 1000}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))

        def answer(route):
            if route.request.url == "http://book.test/":
                route.fulfill(body=f"<!doctype html><title>t</title>{body}", content_type="text/html; charset=utf-8")
            else:
                requests.append(route.request.url)
                route.abort()

        page.route("**/*", answer)
        page.goto("http://book.test/")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:") and "favicon" not in url] == []
