"""Notebooks 00, 01 and 04 run in JupyterLab in a real browser, and their widgets answer.

Needs Chromium (`apt-get install chromium`). Without it these tests are skipped, on CI they fail.
Screenshots go to the folder that AZR_SCREENSHOTS names, else to pytest's own.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from tests.notebook_source import ROOT, code_cells, read

pytestmark = pytest.mark.slow
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight exist as well
}
MINUTES = 60_000  # milliseconds


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab with fresh settings on a copy of the notebooks, not yet run: its address."""
    home = tmp_path_factory.mktemp("jupyter")
    shutil.copytree(ROOT / "notebooks", home / "notebooks", ignore=shutil.ignore_patterns("runs"))
    for path in home.glob("notebooks/*.ipynb"):  # what is shown then comes from this run
        nbformat.write(clear_outputs(read(path)), path)
    for name, values in SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    environment = {
        **os.environ, "SMOKE": "1", "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root",
             "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0",
             "--IdentityProvider.token=", "--ServerApp.password=",
             f"--ServerApp.root_dir={home / 'notebooks'}"]  # fmt: skip
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd=home)
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, server, home / "log")
            yield address
        finally:
            server.terminate()
            server.wait()


def clear_outputs(notebook):
    """The notebook as if nobody had run it."""
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    return notebook


def wait_for(address, server, log, seconds=120):
    """Returns as soon as the server answers; fails with its log if it does not."""
    for _ in range(seconds):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            return urllib.request.urlopen(f"{address}/api", timeout=5)
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        reason = "no Chromium: install it (apt-get install chromium)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def screenshots(tmp_path):
    folder = Path(os.environ.get("AZR_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_all(browser, lab, number, screenshots):
    """The page of a notebook after "Run All Cells" in which every cell has run."""
    (path,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(f"{lab}/lab/tree/{path.name}?reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=2 * MINUTES)
    page.get_by_text("| Idle").first.wait_for(timeout=2 * MINUTES)  # or it asks for a kernel
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    cells = page.locator(".jp-CodeCell .jp-InputPrompt")
    count = len([cell for cell in code_cells(read(path)) if cell.source.strip()])
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if has_run(cells.all_inner_texts(), count):
            break
        page.wait_for_timeout(500)
    errors = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    page.screenshot(path=screenshots / f"{number}.png", full_page=False)
    assert has_run(cells.all_inner_texts(), count), "a cell did not finish"
    assert "Traceback" not in "".join(errors.all_inner_texts())
    return page


def has_run(prompts, count):
    """Whether every cell has its number; "[ ]" waits for the kernel and "[*]" is running."""
    return sum(any(map(str.isdigit, text)) for text in prompts) >= count


def test_the_live_grid_of_notebook_00_is_drawn(browser, lab, screenshots):
    page = run_all(browser, lab, "00", screenshots)
    cell = page.locator(".jp-CodeCell", has_text="for _ in follow(steps, run, state").first
    assert cell.locator("img").count() == 1  # redrawn in place
    cell.screenshot(path=screenshots / "00-live.png")
    page.close()


def test_the_verdict_box_of_notebook_01_answers(browser, lab, screenshots):
    page = run_all(browser, lab, "01", screenshots)
    box = page.locator(".widget-vbox", has=page.get_by_role("button", name="Run", exact=True)).last
    program = box.locator("textarea")
    program.fill("def f(a):\n    while True:\n        pass")
    program.blur()
    box.get_by_role("button", name="Run", exact=True).click()
    box.get_by_text("timeout").first.wait_for(timeout=MINUTES)
    box.screenshot(path=screenshots / "01-verdict.png")
    page.close()


def test_the_slider_of_notebook_04_changes_its_figure(browser, lab, screenshots):
    page = run_all(browser, lab, "04", screenshots)
    widget = page.locator(".widget-vbox", has=page.get_by_text("reward shape")).last
    image = widget.locator("img")
    before = image.get_attribute("src")
    widget.locator(".noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([image, before]) => image.isConnected === false || image.src !== before",
        arg=[image.element_handle(), before],
        timeout=MINUTES,
    )
    assert image.get_attribute("src") != before
    widget.screenshot(path=screenshots / "04-slider.png")
    page.close()
