"""A headless Chromium spoken to over a pipe, so that a page can be tried as a person would."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and writes answers to descriptor 4.
_LAUNCH = 'exec "$0" "$@" 3<&"$FROM" 4>&"$TO"'


class Browser:
    """One tab. ``faults`` holds whatever the page wrote to the console, threw, or was refused."""

    def __init__(self):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command_end, self._to = os.pipe()
        self._from, answer_end = os.pipe()
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", _LAUNCH, CHROMIUM, *_OPTIONS,
             f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(command_end, answer_end),
            env=os.environ | {"FROM": str(command_end), "TO": str(answer_end)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_end)
        os.close(answer_end)
        self._buffer, self._last, self._session = b"", 0, None
        self.faults, self._loaded = [], False
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def open(self, path: Path, *, width=1280, height=900, dark=False):
        """Open a file and wait until it is loaded."""
        self.send("Emulation.setDeviceMetricsOverride",
                  width=width, height=height, deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.faults, self._loaded = [], False
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def run(self, script):
        """The value of a JavaScript expression."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def type(self, text):
        """Type into what has the focus."""
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path):
        """Save the whole page as PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def send(self, method, **parameters):
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            said = self._receive()
            if said.get("id") == self._last:
                assert "error" not in said, said
                return said["result"]

    def _receive(self):
        while b"\0" not in self._buffer:
            more = os.read(self._from, 1 << 16)
            assert more, "the browser has ended"
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        said = json.loads(text)
        method, about = said.get("method"), said.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.consoleAPICalled":
            self.faults.append(about["args"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(about["exceptionDetails"])
        elif method == "Log.entryAdded":
            self.faults.append(about["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = about["request"]["url"]
            if not url.startswith(("file:", "data:", "about:")):
                self.faults.append(f"asked for {url}")
        return said
