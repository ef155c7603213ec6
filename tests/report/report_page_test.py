"""The page of a run in a real browser: all there, nothing fetched, for a phone and for paper."""

import base64
import itertools
import json
import os
import shutil

import pytest
from report_fixtures import made_up_page
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tfgates.report.page import write

PICTURES = ["tradeoff", "thresholds", "chain", "rates_over_training", "final_rates", "class_rates"]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a window, with the page of two runs open."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs and not os.environ.get("CI"):
        pytest.skip("chromium and chromedriver are not installed")
    path = tmp_path_factory.mktemp("page") / "report.html"
    write(made_up_page(runs=("runs/one", "runs/two")), path)
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(programs[1])
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.get(path.as_uri())
        yield driver


def resized(browser, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_nothing_is_fetched_and_nothing_fails(browser):
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    # The window that was there before asks for its own parts.
    asked = {
        event["params"]["requestId"]: event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and event["params"]["documentURL"] == browser.current_url
    }
    assert browser.current_url in asked.values()
    others = set(asked.values()) - {browser.current_url}
    assert [url for url in others if not url.startswith("data:")] == []
    failed = [event["params"] for event in events if event["method"] == "Network.loadingFailed"]
    assert [one for one in failed if one["requestId"] in asked] == []


def test_every_picture_is_there_and_says_what_it_shows(browser):
    resized(browser, 1280)
    figures = browser.find_elements(By.TAG_NAME, "figure")
    assert [one.get_attribute("id").removeprefix("picture-") for one in figures] == PICTURES
    for figure in figures:
        picture = figure.find_element(By.CSS_SELECTOR, "[role=img]")
        assert picture.aria_role in ("img", "image")
        assert len(picture.accessible_name) > 60
        assert any(letter.isdigit() for letter in picture.accessible_name)
        svg = picture.find_element(By.TAG_NAME, "svg")
        assert svg.size["width"] > 250
        assert svg.size["height"] > 90
    for image in browser.find_elements(By.TAG_NAME, "img"):
        assert image.get_property("naturalWidth") == 32
        assert image.accessible_name.startswith("Test image of the class ")


def test_ids_are_unique_and_headings_in_order(browser):
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) > 20
    assert len(ids) == len(set(ids))
    headings = browser.find_elements(By.CSS_SELECTOR, "h1, h2, h3, h4")
    levels = [int(heading.tag_name[1]) for heading in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    links = browser.find_elements(By.CSS_SELECTOR, "nav a, .skip")
    targets = [link.get_dom_attribute("href").removeprefix("#") for link in links]
    assert set(targets) <= set(ids)
    assert browser.title == "Report of runs/one"
    assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"


def test_tables_name_their_rows_and_columns(browser):
    tables = browser.find_elements(By.TAG_NAME, "table")
    assert len(tables) == 4
    for table in tables:
        assert table.find_element(By.TAG_NAME, "caption").get_attribute("textContent").strip()
        for row in table.find_elements(By.CSS_SELECTOR, "tbody tr"):
            (header,) = row.find_elements(By.TAG_NAME, "th")
            # The name of a run is a header of the rows below it.
            assert header.get_dom_attribute("scope") in ("row", "rowgroup")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_never_scrolls_sideways(browser, width):
    resized(browser, width)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_first_stop_of_the_keyboard_leads_to_the_results(browser):
    resized(browser, 1280)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    link = browser.switch_to.active_element
    assert link.text == "Skip to the results"
    assert link.rect["x"] >= 0
    link.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"


def test_it_prints(browser):
    paper = base64.b64decode(browser.print_page())
    assert paper.startswith(b"%PDF")
    assert 1 < paper.count(b"/Type /Page\n") < 12
