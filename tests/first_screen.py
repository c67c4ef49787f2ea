"""The first screen of a report as a picture: `python -m tests.first_screen REPORT.html OUT.png [dark]`.

It made `docs/demo-report.png`, which the README shows. Uses the Chromium of the machine.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZE = (1280, 900)


def main(report: str, out: str, scheme: str = "light") -> int:
    """Draw the page as a reader meets it."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="dark" if scheme == "dark" else "light"
        )
        page.goto(Path(report).resolve().as_uri())
        page.screenshot(path=out)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
