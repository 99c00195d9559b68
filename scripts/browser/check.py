#!/usr/bin/env python3
"""Try a page of results in a real browser: on narrow and wide screens, in light and in dark, by keyboard, and
with 20,000 edits.

    scripts/just page results/patching/report.html OUT

Takes the page of a run or of a case study. Needs Chromium (Debian's package `chromium`, or CHROMIUM=PATH).
Pictures of the page go into OUT, to be looked at. Nothing is asked of the network; a page that tries fails.
"""

import json
import os
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTHS = [390, 1024, 1600]
MANY = 20_000
LARGEST = 6_000_000
OPEN = 'id="edits-data">'
CLOSE = "</script>"


def data_of(text: str):
    """The data of the edits; None where the page has none."""
    return json.loads(text.split(OPEN, 1)[1].split(CLOSE, 1)[0]) if OPEN in text else None


def enlarged(page: str) -> str:
    """The page with its edits repeated until there are MANY."""
    head, rest = page.split(OPEN, 1)
    data, tail = rest.split(CLOSE, 1)
    data = json.loads(data)
    own = data["edits"]
    data["edits"] = [{**own[i % len(own)], "id": f"{i:016x}"} for i in range(MANY)]
    return head + OPEN + json.dumps(data).replace("<", "\\u003c") + CLOSE + tail


def chosen(page) -> str:
    return page.locator(".row[aria-selected=true]").get_attribute("id")


def shown(page) -> int:
    return int(page.locator("#count").inner_text().split()[0])


def use(page, edits) -> None:
    """What a user does with the edits, by keyboard."""
    assert shown(page) == len(edits)
    page.locator("#list").focus()
    page.keyboard.press("ArrowDown")
    assert chosen(page) == "row-1", chosen(page)
    page.keyboard.press("End")
    assert chosen(page) == f"row-{len(edits) - 1}", chosen(page)
    assert page.locator("#detail h3").inner_text() != ""
    page.keyboard.press("Home")
    assert chosen(page) == "row-0"
    page.keyboard.press("/")
    page.keyboard.type(edits[-1]["id"])
    assert shown(page) == 1, "an id finds its edit"
    assert edits[-1]["id"] in page.locator("#detail").inner_text()
    page.locator("#find").fill("")
    page.select_option("#outcome", "skipped")
    skipped = sum(edit["outcome"] == "skipped" for edit in edits)
    assert shown(page) == skipped, (shown(page), skipped)
    page.locator("#find").fill("no such word anywhere")
    assert shown(page) == 0 and "No edit" in page.locator("#detail").inner_text()
    page.locator("#find").fill("")
    page.select_option("#outcome", "")
    assert shown(page) == len(edits)


def link(page, path, edits) -> None:
    """A link to an edit survives reloading, and shows bars and the map of its neurons."""
    placed = any(edit["at"] for edit in edits)
    solved = [edit for edit in edits if edit["outcome"] == "solved" and (edit["at"] or not placed)]
    page.goto(f"{path.as_uri()}#trial={solved[0]['id']}")
    page.reload()
    assert solved[0]["id"] in page.locator("#detail").inner_text()
    assert page.locator("#detail .bar").count() == 4
    circles = {(layer, index) for layer, index, *_ in solved[0]["neurons"]}
    assert page.locator("#detail .map circle").count() == len(circles)


def lead(page) -> None:
    """Arrow keys lead from case to case."""
    ids = [case.get_attribute("id") for case in page.locator(".case").all()]
    for wanted in [ids[0], ids[1]]:
        page.keyboard.press("ArrowRight")
        assert page.evaluate("location.hash") == f"#{wanted}"
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("location.hash") == f"#{ids[0]}"


def overflow(page) -> list:
    """What is wider than the page, and not in a frame of its own that scrolls."""
    return page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= width) return [];
            const framed = (element) => element.closest(".scroll, .picture, nav, #list");
            return [...document.querySelectorAll("body *")]
                .filter((element) => element.getBoundingClientRect().right > width + 1 && !framed(element))
                .slice(0, 5).map((element) => element.outerHTML.slice(0, 120));
        }"""
    )


def fold(page) -> None:
    """Sections fold, and a link unfolds the one that it leads to."""
    section = page.locator("details.section").first
    section.locator("> summary").click()
    assert section.get_attribute("open") is None
    name = section.get_attribute("id")
    page.evaluate("location.hash = ''")
    page.locator(f"nav a[href='#{name}']").click()
    page.wait_for_function(f"document.getElementById('{name}').open")


def fluid(page) -> dict:
    """Milliseconds of one filtering, and of one step while the whole list is scrolled by."""
    return page.evaluate(
        """() => {
            const find = document.getElementById("find"), list = document.getElementById("list");
            const timed = (work) => { const t = performance.now(); work(); return performance.now() - t; };
            const words = ["a", "an", "the", "import", ""];
            const filters = words.map((word) => timed(() => {
                find.value = word;
                find.dispatchEvent(new Event("input"));
                document.body.getBoundingClientRect();
            }));
            const steps = [];
            for (let step = 0; step <= 200; step++) steps.push(timed(() => {
                list.scrollTop = (list.scrollHeight * step) / 200;
                list.dispatchEvent(new Event("scroll"));
                list.getBoundingClientRect();
            }));
            return { filter: Math.max(...filters), scroll: Math.max(...steps),
                     rows: document.querySelectorAll(".row").length };
        }"""
    )


def look(browser, path, out, edits) -> None:
    """The page in both schemes and all widths."""
    for scheme in ["light", "dark"]:
        page = browser.new_page(color_scheme=scheme, viewport={"width": 1600, "height": 1000})
        trouble = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("request", lambda request: trouble.append(request.url)
                if not request.url.startswith("file:") else None)
        page.goto(path.as_uri())
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            page.evaluate("window.scrollTo(0, 0)")
            page.screenshot(path=out / f"{path.stem}-{scheme}-{width}.png")
            wide = overflow(page)
            assert not wide, f"{width} pixels, {scheme}: wider than the page: {wide}"
        if edits:
            use(page, edits)
            link(page, path, edits)
            page.screenshot(path=out / f"{path.stem}-edit-{scheme}.png")
        if page.locator(".case").count():
            lead(page)
            page.screenshot(path=out / f"{path.stem}-case-{scheme}.png")
        fold(page)
        for name in ["paper", "edits", "cases"]:
            for width in WIDTHS if page.locator(f"#{name}").count() else []:
                page.set_viewport_size({"width": width, "height": 1000})
                page.locator(f"#{name}").evaluate("element => element.scrollIntoView()")
                page.screenshot(path=out / f"{path.stem}-{name}-{scheme}-{width}.png")
        page.emulate_media(media="print")
        page.pdf(path=out / f"{path.stem}.pdf", width="210mm", height="297mm")
        assert not trouble, trouble
        page.close()


def main() -> None:
    path, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    if not Path(CHROMIUM).is_file():
        sys.exit(f"{CHROMIUM} is not there: install Debian's package chromium, or name another with CHROMIUM=PATH")
    out.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < LARGEST, f"{path} has {path.stat().st_size} bytes"
    data = data_of(text)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        look(browser, path, out, data and data["edits"])
        print(f"{path.name}: nothing is wider than the page at {', '.join(map(str, WIDTHS))} pixels", end="")
        if not data:
            return print()
        many = out / "many.html"
        many.write_text(enlarged(text), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        start = time.monotonic()
        page.goto(many.as_uri())
        page.locator(".row").first.wait_for()
        print(f"; {MANY} edits: there after {time.monotonic() - start:.2f} s", end="; ")
        found = fluid(page)
        print(f"a filter takes {found['filter']:.0f} ms at most, a step of scrolling {found['scroll']:.0f} ms")
        assert found["rows"] < 60 and found["filter"] < 500 and found["scroll"] < 50, found
        browser.close()
        many.unlink()


if __name__ == "__main__":
    main()
