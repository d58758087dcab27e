"""Find a Chromium for the tests that look at the pages; as a script, say so where there is none."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
NOTICE = (
    "NOTICE: no Chromium on this machine: the tests of the book in a browser are skipped. "
    "Install it (Debian: apt install chromium) or run `playwright install chromium`."
)


def find_chromium() -> str | None:
    """Return the path of a Chromium: one that is installed, else the one that playwright downloaded."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def required() -> bool:
    """Tell whether the tests must not be skipped: continuous integration, where a Chromium was installed."""
    return os.environ.get("GAN_COURSE_BROWSER") == "required"


if __name__ == "__main__" and find_chromium() is None:
    print(NOTICE)
