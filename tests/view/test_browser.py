"""The page in a real browser: what a reader sees, by which keys, and that hostile texts stay texts."""

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.view.made import EVIL, RUN, metrics, row, rows, write_lines, write_run, write_samples

from tutelage.view import application, server
from tutelage.view.watching import WatchedRun

api: Any = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH to open the page in")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serves directories and gives the address."""
    monkeypatch.setattr(server, "PACE", 0.2)
    started: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(*directories: Path) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        stop: list[uvicorn.Server] = []
        app = application([WatchedRun(path, path.name) for path in directories], (), lambda: stop[0].should_exit)
        stop.append(
            uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=3))
        )
        thread = threading.Thread(target=stop[0].run, kwargs={"sockets": [listening]})
        thread.start()
        started.append((stop[0], thread, listening))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/"

    yield start
    for running, thread, listening in started:
        running.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture
def page(browser: Any, serving: Any) -> Iterator[Any]:
    """A tab that fails the test for anything that the page complains about."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(8_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.complaints = wrong
    yield page
    context.close()
    assert wrong == []


def test_curves_are_drawn_and_a_click_leads_to_the_samples_of_the_step(page: Any, serving: Any, run: Path):
    page.goto(serving(run))
    page.wait_for_selector("figure.figure")
    titles = page.locator("figure.figure figcaption b").all_inner_texts()
    assert {"Loss", "Chosen, by source", "Margin of pairs", "Abstained, by axis", "Seconds, by role"} <= set(titles)
    assert (
        page.locator("#live").inner_text() == "live" and "running · step 6 · 60 %" in page.locator(".chip").inner_text()
    )
    page.locator("figure.figure svg.plot").first.click(position={"x": 60, "y": 60})
    page.wait_for_selector("article.candidate")
    assert page.url.split("#")[1].startswith("/samples/0/1/") and page.locator(".entry").count() == 3


def test_a_pool_shows_prefix_candidates_scores_words_and_what_a_rewrite_changes(page: Any, serving: Any, run: Path):
    page.goto(f"{serving(run)}#/samples/0/2")
    page.wait_for_selector("article.candidate ins")
    assert page.locator(".prefix .text").inner_text() == "The beginning of d2-0,"
    assert page.locator("article.candidate .source").all_inner_texts() == [
        "rewrite",
        "rollout",
        "rollout",
        "original suffix",
    ]
    first = page.locator("article.candidate").first
    assert "chosen" in first.inner_text() and "It reads well." in first.inner_text() and "1.12" in first.inner_text()
    assert (
        first.locator("ins").inner_text().strip() == "rewrite 1"
        and first.locator("del").inner_text().strip() == "suffix 0"
    )
    page.keyboard.press("d")
    api.expect(page.locator("article.candidate ins")).to_have_count(0)
    assert first.locator(".text").first.inner_text() == " rewrite 1 of d2-0 at step 2."


def test_keys_lead_through_documents_and_steps(page: Any, serving: Any, run: Path):
    page.goto(f"{serving(run)}#/samples/0/2")
    for key, title in (
        ("j", "d2-1"),
        ("j", "d2-2"),
        ("k", "d2-1"),
        ("ArrowRight", "d3-0"),
        ("G", "d6-0"),
        ("ArrowLeft", "d5-0"),
        ("g", "d1-0"),
        ("Shift+ArrowRight", "d6-0"),
    ):
        page.wait_for_selector(".heading h2")
        page.keyboard.press(key)
        api.expect(page.locator(".heading h2")).to_have_text(title)
    page.keyboard.press("c")
    page.wait_for_selector("figure.figure")
    page.keyboard.press("?")
    assert page.locator("dialog[open] dt").count() >= 6


def test_a_search_lists_hits_and_leads_to_each(page: Any, serving: Any, run: Path):
    page.goto(f"{serving(run)}#/samples/0/1")
    page.wait_for_selector("article.candidate")
    page.keyboard.press("/")
    page.keyboard.type("rollout 3 of d5")
    page.keyboard.press("Enter")
    page.wait_for_selector(".entry mark")
    assert page.locator(".entry mark").all_inner_texts() == ["rollout 3 of d5"] * 3
    assert "3 hits, no more" in page.locator(".going-on").inner_text()
    page.locator(".entry").nth(1).click()
    api.expect(page.locator(".heading h2")).to_have_text("d5-1")
    page.locator("summary", has_text="Filter").click()
    page.select_option("select[name=role]", "rejected")
    api.expect(page.locator(".entry mark")).to_have_count(3)
    page.fill("input[name=low]", "9")
    page.locator("input[name=low]").press("Enter")
    page.wait_for_selector("text=Nothing was found.")
    page.keyboard.press("Escape")
    api.expect(page.locator(".entry mark")).to_have_count(0)
    api.expect(page.locator(".entry")).to_have_count(3)


def test_several_runs_lie_over_each_other_and_can_be_switched_off(page: Any, serving: Any, run: Path, tmp_path: Path):
    page.goto(serving(run, write_run(tmp_path / "other", steps=4)))
    api.expect(page.locator("figure.figure").first.locator("polyline")).to_have_count(2)
    page.locator(".chip", has_text="other").click()
    api.expect(page.locator("figure.figure").first.locator("polyline")).to_have_count(1)
    assert page.locator("figure.figure polygon").count() >= 2  # shares of a single run lie on top of each other


def test_the_page_goes_on_while_the_run_does(page: Any, serving: Any, run: Path):
    page.goto(f"{serving(run)}#/samples/0/6")
    page.wait_for_selector("article.candidate")
    write_lines(run / "metrics.jsonl", [metrics(7)], "a")
    page.wait_for_selector(".chip:has-text('step 7')")
    os.replace(
        write_samples(run.parent / "aside", rows([7])), run / "samples" / "step-00000007-00000007.rank-0000.parquet"
    )
    page.wait_for_selector(".where:has-text('of 1–7')")
    assert page.locator(".heading h2").inner_text() == "d6-0"


def test_a_run_that_has_not_begun_says_so_and_fills_as_it_begins(page: Any, serving: Any, tmp_path: Path):
    (tmp_path / "new").mkdir()
    page.goto(f"{serving(tmp_path / 'new')}#/samples")
    page.wait_for_selector(".empty:has-text('No samples are on disk yet')")
    assert "no run.yaml yet" in page.locator("#messages").inner_text()
    write_run(tmp_path / "new", steps=2)
    page.wait_for_selector("article.candidate")
    api.expect(page.locator("#messages")).to_have_text("")


def test_torn_files_are_named_in_the_page(page: Any, serving: Any, run: Path):
    (run / "samples" / "step-00000001-00000003.rank-0000.parquet").write_bytes(b"PAR1")
    page.goto(f"{serving(run)}#/samples")
    page.wait_for_selector(".message.bad:has-text('torn or altered')")
    page.wait_for_selector("article.candidate")


def test_a_run_that_resumes_says_so_and_what_took_the_place_is_shown(page: Any, serving: Any, run: Path):
    page.goto(f"{serving(run)}#/samples/0/6")
    page.wait_for_selector("article.candidate")
    (run / "samples" / "step-00000004-00000006.rank-0000.parquet").unlink()
    write_lines(run / "new", map(metrics, (1, 2, 3)))
    os.replace(run / "new", run / "metrics.jsonl")
    page.wait_for_selector("#messages:has-text('went back to a checkpoint')")
    api.expect(page.locator(".heading h2")).to_have_text("d3-0")


@pytest.mark.parametrize("where", ["samples", "curves"])
def test_hostile_texts_are_shown_and_do_not_run(page: Any, serving: Any, tmp_path: Path, where: str):
    evil = dict.fromkeys(("corpus", "document", "source", "author", "words", "text"), EVIL)
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.yaml").write_text(RUN + f"name: {json.dumps(EVIL)}\n")
    write_lines(
        run / "metrics.jsonl",
        [metrics(1, **{f"loss/{EVIL}": 1.0, f"{EVIL}/x": 1.0, "score/__proto__/constructor": 1.0})],
    )
    write_lines(run / "events.jsonl", [{"time": 1.0, "event": EVIL, EVIL: EVIL}])
    verdicts = json.dumps({EVIL: 0.5, "__proto__": 1.0, "quality": {"abstained": EVIL}})
    made = [row(1, "", k, verdicts=verdicts, prefix=EVIL if k == 0 else None, **evil) for k in range(2)]
    made += [row(1, "huge", k, text="x" * 300_000, prefix="y" * 300_000 if k == 0 else None) for k in range(2)]
    write_samples(run, made)
    page.goto(f"{serving(run)}#/{where}")
    page.wait_for_selector("figure.figure" if where == "curves" else "article.candidate")
    if where == "samples":
        shown = page.locator("article.candidate .text").first
        assert "<script>document.body.dataset.stolen = 1</script>" in shown.inner_text()
        assert shown.locator(".hidden-character").all_inner_texts() == ["U+202E", "U+202C", "U+0000", "U+001B"]
        page.keyboard.press("j")
        page.wait_for_selector("button:has-text('show all of it')")
        assert len(page.locator("article.candidate .text").first.inner_text()) == 20_000
        page.locator("article.candidate button:has-text('show all of it')").first.click()
        api.expect(page.locator("article.candidate .text").first).to_have_text("x" * 300_000)
    assert page.locator("[data-stolen]").count() == 0
    assert page.locator("script").count() == 1 and page.locator("img").count() == 0


def test_scripts_of_the_page_are_the_only_ones_that_run(page: Any, serving: Any, run: Path):
    page.goto(serving(run))
    page.wait_for_selector("figure.figure")
    script = (
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'made' } catch (error) { return error.name } })()"
    )
    told = page.context.new_cdp_session(page).send("Runtime.evaluate", {"expression": script})
    assert told["result"]["value"] == "TypeError"
    page.wait_for_timeout(100)
    assert page.complaints
    page.complaints.clear()
