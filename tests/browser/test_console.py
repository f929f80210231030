"""The console in a real browser: every page and action, by those who may and those who may not."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.looking import CONTRAST, bring_checker, faults, too_wide

PEOPLE = {"operator": "admin", "viewer": "manager", "nobody": "clerk"}
CONSOLE = (
    "", "/queue", "/queue/reminders", "/queue?state=delayed", "/jobs/{job}", "/jobs/{failed}",
    "/failed", "/failed/{kind}", "/batches", "/workers", "/schedule", "/sessions",
    "/cache?key=rates:today", "/audit", "/document?type=customer&id=1&on=2999-01-01",
    "/notifications", "/database", "/requests",
)  # fmt: skip
OTHERS = (
    "/", "/products", "/products/1", "/products/create", "/customers", "/customers/1", "/orders",
    "/orders/1", "/orders/create", "/invoices", "/imports", "/reports", "/notifications",
    "/audit", "/account", "/docs", "/docs/queue-system", "/docs/operations-console",
    "/no-such-page",    "/console/jobs/99999",
)  # fmt: skip
TAB, ENTER, SPACE = "\ue004", "\ue007", " "


@pytest.fixture(scope="module")
def site(house):
    """A demo with a busy day behind it."""
    shutil.copy(Path(__file__).with_name("busy.py"), house.folder / "busy.py")
    house.run("busy.py")
    yield from house.serve()


@pytest.fixture(scope="module")
def checked(browser):
    """The browser, with the accessibility checker in its pages."""
    bring_checker(browser)
    return browser


@pytest.fixture(scope="module")
def cookies():
    """Who is logged in already, by the cookies of each."""
    return {}


@pytest.fixture
def enter(browser, site, cookies):
    """`enter("viewer")`: the browser is theirs, as wide and light as at the beginning."""

    def enter(who):
        browser.look_as()
        browser.open(f"{site}/favicon.ico")
        browser.ask("DELETE", "/cookie")
        if who not in cookies:
            browser.open(f"{site}/login")
            browser.find("#email").type(f"{PEOPLE[who]}@demo.example")
            browser.find("#password").type("demo-password")
            browser.press("Log in")
            assert browser.says("Overview")
            cookies[who] = browser.ask("GET", "/cookie")
        for cookie in cookies[who]:
            browser.ask("POST", "/cookie", {"cookie": cookie})

    yield enter
    browser.look_as()


def told(browser, site, path):
    """The data of a page of the console."""
    browser.open(f"{site}/console{path}{'&' if '?' in path else '?'}format=json")
    return json.loads(browser.text)


@pytest.fixture(scope="module")
def names(browser, site):
    """What the pages of one thing are asked for by; filled in by the first who looks."""
    return {}


def address(browser, site, path, names):
    if not names:
        names["kind"] = told(browser, site, "/failed")["groups"][0]["fingerprint"]
        failures = told(browser, site, f"/failed/{names['kind']}")["failures"]
        names |= {"failed": failures[-1]["uuid"]}
        names["job"] = told(browser, site, "/queue")["jobs"][0]["id"]
    return f"{site}/console{path.format(**names)}"


def look(browser, url, may_scroll=False):
    """What is wrong with a page, light and dark, on a desk and in a hand."""
    browser.look_as(width=1280)
    browser.open(url)
    found = [f"1280: {one}" for one in too_wide(browser, may_scroll=may_scroll)]
    found += [f"light: {one}" for one in faults(browser)]
    browser.look_as(width=390, scheme="dark")
    found += [f"390: {one}" for one in too_wide(browser, may_scroll=may_scroll)]
    found += [f"dark: {one}" for one in faults(browser, CONTRAST)]
    if folder := os.environ.get("SIXORBIT_SHOTS"):
        browser.screenshot(Path(folder) / f"{url.partition('://')[2].replace('/', '-')}.png")
    return found


@pytest.mark.slow
def test_every_page_fits_every_screen_and_can_be_used_by_everybody(
    enter, checked, browser, site, names
):
    enter("operator")
    wrong = {}
    for path in CONSOLE:
        url = address(browser, site, path, names)
        if found := look(browser, url):
            wrong[path] = found

    assert wrong == {}


@pytest.mark.slow
def test_the_demo_the_guides_and_the_error_pages_can_be_used_by_everybody(
    enter, checked, browser, site
):
    enter("operator")

    wrong = {path: found for path in OTHERS if (found := look(browser, site + path, True))}

    assert wrong == {}


@pytest.mark.slow
def test_nobody_else_sees_a_page(enter, browser, site, names):
    enter("operator")
    urls = [address(browser, site, path, names) for path in CONSOLE]

    enter("nobody")

    for url in urls:
        browser.open(url)
        assert "console.view" in browser.text, url


@pytest.mark.slow
def test_a_viewer_finds_no_button_that_does_something(enter, browser, site, names):
    enter("viewer")

    for path in CONSOLE:
        browser.open(address(browser, site, path, names))
        forms = "return [...document.querySelectorAll('main form[method=post]')].length"
        assert browser.run(forms) == 0, path


def tab_to(browser, words):
    """Go on with the keyboard alone until what is called *words* has the focus."""
    script = """const one = document.activeElement;
        return (one.getAttribute('aria-label') || one.innerText || one.value || '').trim()"""
    for _ in range(400):
        browser.keys(TAB)
        if re.fullmatch(words, browser.run(script)):
            outline = "return getComputedStyle(document.activeElement).outlineStyle"
            assert browser.run(outline) != "none", f"nobody sees that {words} has the focus"
            return
    raise AssertionError(f"the keyboard does not reach {words!r}")


@pytest.mark.slow
def test_a_failed_job_is_tried_again_with_the_keyboard_alone(enter, browser, site, names):
    enter("operator")
    browser.open(address(browser, site, "/failed/{kind}", names))

    tab_to(browser, "Skip to content")
    browser.keys(ENTER)
    tab_to(browser, "Choose job .*")
    browser.keys(SPACE)
    tab_to(browser, "Try the chosen again")
    browser.keys(ENTER)

    assert browser.says("Failed jobs queued again: 1.")


@pytest.mark.slow
def test_a_queue_is_paused_and_resumed_with_the_keyboard_alone(enter, browser, site):
    enter("operator")
    browser.open(f"{site}/console/queue")

    tab_to(browser, "Pause")
    browser.keys(ENTER)
    assert browser.says("rests.")
    tab_to(browser, "Resume")
    browser.keys(ENTER)

    assert browser.says("goes on.")


@pytest.mark.slow
def test_a_session_is_ended_with_the_keyboard_alone_after_it_was_asked(
    enter, browser, site, cookies
):
    enter("nobody")
    enter("operator")
    browser.open(f"{site}/console/sessions")

    tab_to(browser, "End")
    browser.keys(ENTER)
    assert browser.says("Whoever uses this session is logged out.")
    tab_to(browser, "No, go back")
    browser.keys(ENTER)
    assert browser.says("Signed in")
    tab_to(browser, "End")
    browser.keys(ENTER)
    assert browser.says("Whoever uses this session is logged out.")
    tab_to(browser, "End")
    browser.keys(ENTER)

    assert browser.says("The session is ended")
    cookies.pop("nobody")


ACTIONS = (
    ("/queue", "Pause all", None, "All queues rest."),
    ("/queue", "Resume all", None, "All queues go on."),
    ("/queue", "Cancel", "Cancel", "Job "),
    ("/jobs/{failed}", "Try again", None, "Failed jobs queued again: 1."),
    ("/failed", "Forget all", "Forget all", "forgotten"),
    ("/cache?key=rates:today", "Forget", "Forget", "'rates:today' is forgotten."),
    ("/cache", "Release", "Release", "is free."),
    ("/batches", "Cancel", "Cancel", "is cancelled."),
    ("/workers", "Restart workers", None, "Workers end after the job they run"),
    ("/sessions", "End all", "End all", "that were ended: "),
)


@pytest.mark.slow
def test_every_action_works_without_a_script(enter, browser, site, names, cookies):
    enter("operator")
    urls = [address(browser, site, path, names) for path, *_ in ACTIONS]
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        for url, (_, button, sure, words) in zip(urls, ACTIONS, strict=True):
            browser.open(url)
            browser.press(button)
            if sure:
                assert browser.says("No, go back"), url
                browser.press(sure)
            assert browser.says(words) or button == "End all", (url, browser.text)
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
        cookies.clear()  # the last one ended our own


@pytest.mark.slow
def test_figures_refresh_in_place_and_the_focus_stays(enter, browser, site):
    enter("operator")
    browser.open(f"{site}/console")
    link = "return document.querySelector('#lights a').focus() || document.activeElement.innerText"
    before = browser.run(link)
    browser.run("document.querySelector('#figures strong').innerText = 'not-yet-fresh'")

    assert browser.says_not("not-yet-fresh")

    assert browser.run("return document.activeElement.innerText") == before


@pytest.mark.slow
def test_nothing_moves_for_who_wants_no_motion(enter, browser, site):
    enter("operator")
    browser.look_as(motion="reduce")
    browser.open(f"{site}/console")

    moving = """return [...document.querySelectorAll('*')].filter(one => {
        const style = getComputedStyle(one);
        return style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0;
    }).length"""
    assert browser.run(moving) == 0
