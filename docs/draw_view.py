"""Take the picture of ``docs/view.md``: ``python docs/draw_view.py runs/demo/online_dpo-1 --step 120``.

Needs what the tests need besides, and a Chromium on the PATH.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parent / "images"


def main() -> None:
    """Write ``docs/images/view.png``, or what ``--out`` says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--step", type=int, default=None, help="samples of this step; the curves if not given")
    parser.add_argument("--keys", default="", help="pressed before the picture is taken")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--size", type=int, nargs=2, default=(1440, 900), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--out", type=Path, default=IMAGES / "view.png")
    chosen = parser.parse_args()
    command = [sys.executable, "-u", "-m", "tutelage", "view", *chosen.runs, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split("http://")[1].split()[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            width, height = chosen.size
            scheme = "dark" if chosen.dark else "light"
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            place = "" if chosen.step is None else f"#/samples/0/{chosen.step}"
            page.goto(f"http://{address}{place}")
            page.wait_for_selector("figure.figure" if chosen.step is None else "article.candidate")
            for key in chosen.keys:
                page.keyboard.press(key)
                page.wait_for_timeout(400)
            page.wait_for_timeout(1_500)
            page.screenshot(path=chosen.out)
            browser.close()
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
