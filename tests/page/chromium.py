"""Debian's Chromium, driven over its own protocol (CDP) by a pipe: no driver, no port. Clicks and keys are those of a
person: they go through the browser's input, and not to an element.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devcluster.buildlock import one_build
from devcluster.waiting import patience
from tools.programs import debian_program

from devcluster import paths

_AXE = "axe-playwright-python==0.1.8"
"""A wheel that holds axe-core 4 as one file; nothing else of it is used."""
_AXE_HASH = "fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8"
_AXE_FILE = "axe_playwright_python/axe.min.js"
_KEYS: Mapping[str, tuple[str, int]] = {
    "Tab": ("Tab", 9),
    "Enter": ("Enter", 13),
    "Escape": ("Escape", 27),
    " ": ("Space", 32),
}
_SHIFT = 8
_HAND_OVER = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])"""
"""Gives a program its two pipes."""


def axe() -> str:
    """axe-core, downloaded where it is missing; pip refuses a wheel of another hash."""
    target = paths.cache_dir() / "programs" / f"axe-{_AXE_HASH[:12]}" / "axe.min.js"
    with one_build("axe"):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
                _download(Path(scratch)).replace(target)
    return target.read_text(encoding="utf-8")


def _download(folder: Path) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{_AXE} --hash=sha256:{_AXE_HASH}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--only-binary=:all:", "--require-hashes", "--requirement", str(wanted), "--dest", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"axe-core could not be downloaded: {done.stderr}"
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(_AXE_FILE, folder))


class Chromium:
    """One browser with one page."""

    def __init__(self, profile: Path) -> None:
        (read, self._write), (self._read, write) = os.pipe(), os.pipe()
        self._numbers, self._rest = itertools.count(1), b""
        self.complaints: list[str] = []
        """What the console was told that is no mere information, and exceptions."""
        # Out of the way: they may be 3 and 4 themselves, which is where the browser wants them.
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (read, write)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _HAND_OVER, *map(str, high)),
                *(debian_program("chromium", "chromium"), "--headless=new", "--remote-debugging-pipe"),
                # Tests run as root and in containers, and open nothing but a page of ours.
                *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *("--disable-extensions", "--no-proxy-server", "--force-color-profile=srgb"),
                *(f"--user-data-dir={profile}", "about:blank"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=high,
            start_new_session=True,
            env={**os.environ, "HOME": str(profile), "TZ": "UTC", "LANG": "C.UTF-8"},
        )
        for each in (read, write, *high):
            os.close(each)
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer of the browser. AssertionError for one that it refuses."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while True:
            found = self._next(patience(60))
            if found.get("id") == number:
                assert "error" not in found, f"{method}: {found['error']}"
                return dict(found.get("result") or {})
            self._heard(found)

    def _next(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], seconds)
            assert ready, "the browser is silent"
            piece = os.read(self._read, 1 << 20)
            assert piece, f"the browser ended: {self._process.poll()}"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def _heard(self, event: Mapping[str, Any]) -> None:
        said = event.get("params") or {}
        if event.get("method") == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.complaints.append(str((details.get("exception") or {}).get("description") or details.get("text")))
        if event.get("method") == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(str([each.get("value") for each in said["args"]]))
        if event.get("method") == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, what: str, seconds: float = 30) -> Any:
        """The first true value of an expression; True for an element."""
        deadline = time.monotonic() + patience(seconds)
        while True:
            value = self.run(f"((value) => value instanceof Node || value)({script})")
            if value:
                return value
            assert time.monotonic() < deadline, f"{what}: {self.run('document.body.innerText')[:3000]}"
            time.sleep(0.05)

    def open(self, url: str) -> None:
        """Another page. One that differs in the fragment alone is loaded again, too."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.protocol === 'http:'", "the page is not loaded")

    def look(self, width: int, height: int, scheme: str = "light", *, touch: bool = False) -> None:
        """Size in CSS pixels, and whether its owner likes it light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, file: Path, *, whole: bool = True) -> Path:
        """A PNG of the whole page, or of what is in sight."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))
        return file

    def click(self, element: str) -> None:
        """With the mouse, in the middle of what the expression `element` is, as soon as it is there."""
        self.until(f"!!({element})", f"{element} is not there")
        x, y = self.run(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str, *, shift: bool = False) -> None:
        """Press and release a key."""
        code, number = _KEYS[name]
        shared = {"key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": _SHIFT if shift else 0}
        text = {"Enter": "\r", " ": " "}.get(name)
        self.call("Input.dispatchKeyEvent", type="keyDown", **shared, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def violations(self) -> list[str]:
        """What axe-core finds: WCAG 2.2 A and AA, and good practice."""
        self.run(f"{axe()};0")
        found = self.run("axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations))")
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in json.loads(found)
            for node in each["nodes"]
        ]

    def close(self) -> None:
        """End it with all of its processes."""
        os.close(self._write)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._read)


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """A browser until the end of the `with`."""
    started = Chromium(profile)
    try:
        yield started
    finally:
        started.close()
