#!/usr/bin/env python3
"""Try a run's report.html in a real browser, by keyboard, in light and in dark, and with 10,000 edits.

    scripts/just page results/patching/report.html OUT

Needs Chromium (Debian's package `chromium`, or CHROMIUM=PATH). Pictures of the page go into OUT, to be
looked at. Nothing is asked of the network; a page that tries fails.
"""

import json
import os
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
MANY = 10_000
OPEN = 'id="edits-data">'
CLOSE = "</script>"


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
    """What a user does, by keyboard."""
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


def main() -> None:
    path, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    edits = json.loads(text.split(OPEN, 1)[1].split(CLOSE, 1)[0])["edits"]
    many = out / "many.html"
    many.write_text(enlarged(text), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for scheme in ["light", "dark"]:
            page = browser.new_page(color_scheme=scheme, viewport={"width": 1400, "height": 900})
            trouble = []
            page.on("pageerror", lambda error: trouble.append(str(error)))
            page.on("request", lambda request: trouble.append(request.url)
                    if not request.url.startswith("file:") else None)
            page.goto(path.as_uri())
            page.screenshot(path=out / f"top-{scheme}.png")
            use(page, edits)
            linked = next(e for e in edits if e["outcome"] == "solved" and (e["at"] or not any(x["at"] for x in edits)))
            page.goto(f"{path.as_uri()}#edit={linked['id']}")
            page.reload()
            assert linked["id"] in page.locator("#detail").inner_text()
            page.screenshot(path=out / f"edit-{scheme}.png")
            page.locator("#pictures").scroll_into_view_if_needed()
            page.screenshot(path=out / f"pictures-{scheme}.png")
            page.set_viewport_size({"width": 420, "height": 800})
            page.locator("#edits").scroll_into_view_if_needed()
            page.screenshot(path=out / f"narrow-{scheme}.png")
            assert not trouble, trouble
            page.close()
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        start = time.monotonic()
        page.goto(many.as_uri())
        page.locator(".row").first.wait_for()
        print(f"{MANY} edits: there after {time.monotonic() - start:.2f} s", end="; ")
        found = fluid(page)
        print(f"a filter takes {found['filter']:.0f} ms at most, a step of scrolling {found['scroll']:.0f} ms")
        assert found["rows"] < 60 and found["filter"] < 300 and found["scroll"] < 50, found
        browser.close()
    many.unlink()


if __name__ == "__main__":
    main()
