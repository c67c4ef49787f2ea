"""The report in a real browser: its controls, its keyboard, and that it asks the network for nothing.

Uses the Chromium that the machine has (Debian's package `chromium`); without one these tests are skipped.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from analysis.report import write_report
from analysis.tables.loading import load_tables
from tests.analysis.worlds import World, frames, write_study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; install Debian's `chromium`")

EVIL = "<img src=x onerror=\"document.title='run'\">"
CONTRAST = """
(selector) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const rgba = channels(getComputedStyle(node).backgroundColor);
      if (rgba[3] === 255) return rgba.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll(selector)) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const ink = channels(node.namespaceURI.endsWith("svg") ? style.fill : style.color).slice(0, 3);
    const [a, b] = [light(ink), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${node.className.baseVal ?? node.className} ${node.textContent.trim()}: ${ratio}`);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = frames(World(rates=(1e-5, 1e-4), tasks=4, noise_sd=0.001))
    tables["trials"]["note"] = EVIL
    tables["scores"]["dataset"] = tables["scores"]["dataset"].replace("Birds", EVIL)
    folder = write_study(tmp_path_factory.mktemp("study"), tables)
    return write_report(load_tables(folder), folder / "report", definition=f"name: {EVIL}\n")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report, which must not print to the console nor ask for anything."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert said == []
    assert asked == [report.as_uri()]


def visible_marks(page: Page) -> int:
    return sum(mark.is_visible() for mark in page.query_selector_all("svg.plane .pt"))


def test_the_first_screen_has_the_decision_and_the_plane(page: Page) -> None:
    for selector in (".answers .first", "svg.plane"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900, selector


def test_the_legend_hides_and_shows_methods(page: Page) -> None:
    whole = visible_marks(page)
    toggle = page.get_by_role("checkbox", name="LoRA")
    toggle.uncheck()
    hidden = whole - visible_marks(page)
    assert hidden == 20
    toggle.check()
    assert visible_marks(page) == whole


def test_the_slider_moves_marks_along_their_way(page: Page) -> None:
    mark = page.locator("svg.plane .pt").last
    end = mark.get_attribute("transform")
    slider = page.get_by_role("slider", name="After task")
    slider.focus()
    page.keyboard.press("Home")
    starts = {one.get_attribute("transform") for one in page.query_selector_all("svg.plane .pt")}
    assert len(starts) == 1  # before any update every config is the zero-shot model
    assert page.locator("#task-said").inner_text() == "before any update"
    assert not page.locator("svg.plane .labels").is_visible()
    page.keyboard.press("End")
    assert mark.get_attribute("transform") == end


def test_a_mark_tells_its_numbers_when_pointed_at(page: Page) -> None:
    page.locator("svg.plane .pt[data-n='1'] > path").last.hover(force=True)
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert re.search(r"^1: .*AKA .*AZS .*gain", tip.inner_text())
    page.mouse.move(2, 2)
    assert not tip.is_visible()


def test_marks_are_read_with_the_keyboard_alone(page: Page) -> None:
    page.get_by_role("slider", name="After task").focus()
    page.keyboard.press("Tab")
    assert page.locator("#tip").inner_text().startswith("1: ")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text().startswith("2: ")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("2: ")


def test_tables_sort_by_a_column(page: Page) -> None:
    table = page.locator("table.sortable").first
    button = table.get_by_role("button", name="AZS %")

    def values() -> list[float]:
        index = table.locator("thead th").all_inner_texts().index(button.inner_text())
        cells = table.locator(f"tbody tr td:nth-child({index + 1})").all_inner_texts()
        return [float(cell.split()[0].replace("\u2212", "-")) for cell in cells]

    button.click()
    assert values() == sorted(values(), reverse=True)
    button.click()
    assert values() == sorted(values())


def test_nothing_of_a_users_text_runs(page: Page) -> None:
    assert page.title() != "run"
    assert page.locator("img").count() == 0
    assert page.locator("h1").inner_text().startswith("<img src=x")
    assert EVIL in page.locator("table.heat").inner_text()


def test_the_page_is_whole_without_scripts(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert visible_marks(page) == 30
    assert page.locator("svg.plane .pt title").count() == 30
    assert page.get_by_role("checkbox").count() == 0
    assert page.get_by_role("slider").count() == 0
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Browser, report: Path, scheme: str) -> None:
    """4.5 to 1, as WCAG 2 asks for text (AA)."""
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert page.evaluate(CONTRAST, "body *") == []
    page.close()


def test_what_is_drawn_has_a_name(page: Page) -> None:
    drawings = page.query_selector_all("svg:not([aria-hidden], svg svg)")
    unnamed = sum(not drawing.get_attribute("aria-label") for drawing in drawings)
    assert unnamed == 0
    unlabelled = page.evaluate("[...document.querySelectorAll('input')].filter((i) => !i.labels.length).length")
    assert unlabelled == 0


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_never_scrolls_sideways(browser: Browser, report: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(report.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
