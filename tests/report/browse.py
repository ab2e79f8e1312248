"""Opens a page from disk in headless Chromium, at three sizes, in light and in dark.

    browse.py PAGE FOLDER [AXE]

Prints one JSON object for each of the six: what the console said, what was asked of any network,
whether the page is wider than the window, what axe-core finds (its file is AXE), and the file of a
screenshot in FOLDER. Then one for the keyboard, and one for the page printed to FOLDER/report.pdf.
Chromium is spoken with over its pipe (Chrome DevTools Protocol), so that no port listens.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}
SCHEMES = ("light", "dark")


def main():
    page, folder = sys.argv[1:3]
    axe = pathlib.Path(sys.argv[3]).read_text() if len(sys.argv) > 3 else None
    url = pathlib.Path(page).resolve().as_uri()
    with Chromium(folder) as chromium:
        for size in SIZES:
            for scheme in SCHEMES:
                say(look(chromium, url, size, scheme, axe, folder))
        say({"keyboard": by_keyboard(chromium, url)})
        say({"print": printed(chromium, url, folder)})


def look(chromium, url, size, scheme, axe, folder):
    tab = chromium.tab(*SIZES[size], scheme)
    tab.open(url)
    found = {"size": size, "scheme": scheme}
    found["overflow"] = tab.run("document.documentElement.scrollWidth - innerWidth")
    found["dark"] = tab.run("getComputedStyle(document.body).backgroundColor")
    found["shot"] = tab.shot(f"{folder}/{size}-{scheme}.png")
    if axe:
        # Folded and unfolded: axe passes over what is not shown.
        tab.run(axe + "; 0")
        found["violations"] = tab.run(VIOLATIONS)
        tab.run(UNFOLD)
        found["violations"] += tab.run(VIOLATIONS)
        found["passes"] = tab.run("axe.run().then(found => found.passes.length)")
    else:
        tab.run(UNFOLD)
    found["overflow_unfolded"] = tab.run("document.documentElement.scrollWidth - innerWidth")
    found["shot_unfolded"] = tab.shot(f"{folder}/{size}-{scheme}-unfolded.png")
    found["console"], found["requests"] = tab.console, tab.requests
    tab.close()
    return found


def by_keyboard(chromium, url):
    """Whether Tab reaches each fold and each region that scrolls, and Enter unfolds."""
    tab = chromium.tab(*SIZES["desktop"], "light")
    tab.open(url)
    reached = []
    for _ in range(tab.run(REACHABLE)):
        tab.press("Tab", 9)
        reached.append(tab.run("document.activeElement.tagName"))
    summary = "document.querySelector('summary')"
    tab.run(f"{summary}.focus()")
    tab.press("Enter", 13)
    unfolded = tab.run(f"{summary}.parentElement.open")
    tab.close()
    return {"reached": reached, "unfolded": unfolded}


def printed(chromium, url, folder):
    tab = chromium.tab(*SIZES["desktop"], "dark")
    tab.open(url)
    pdf = base64.b64decode(tab.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    pathlib.Path(f"{folder}/report.pdf").write_bytes(pdf)
    tab.call("Emulation.setEmulatedMedia", media="print")
    ink = tab.run("getComputedStyle(document.body).backgroundColor")
    tab.close()
    return {"bytes": len(pdf), "begins": pdf[:5].decode(), "background": ink}


class Chromium:
    def __init__(self, folder):
        read, self.output = os.pipe()
        self.input, write = os.pipe()
        os.set_inheritable(read, True)
        os.set_inheritable(write, True)
        # The pipe's ends are 3 and 4, by the protocol.
        shell = f'exec 3<&{read} 4>&{write}; exec chromium "$@"'
        options = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--remote-debugging-pipe",
            "--hide-scrollbars", f"--user-data-dir={folder}/profile", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *options],
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder},
        )
        os.close(read)
        os.close(write)
        self.buffer, self.number, self.tabs = b"", 0, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data) :]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]

    def receive(self):
        while b"\0" not in self.buffer:
            read = os.read(self.input, 1 << 20)
            if not read:
                sys.exit("Chromium has ended")
            self.buffer += read
        message, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(message)
        if message.get("sessionId") in self.tabs:
            self.tabs[message["sessionId"]].hear(message)
        return message

    def tab(self, width, height, scheme):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, target, session)
        self.tabs[session] = tab
        for domain in ("Page", "Network", "Log", "Runtime"):
            tab.call(f"{domain}.enable")
        phone = width < 600
        tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": scheme}]
        tab.call("Emulation.setEmulatedMedia", features=scheme)
        return tab


class Tab:
    def __init__(self, chromium, target, session):
        self.chromium, self.target, self.session = chromium, target, session
        self.console, self.requests, self.loaded = [], [], False

    def call(self, method, **params):
        return self.chromium.call(method, self.session, **params)

    def hear(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.console.append(params["type"])
        elif method == "Runtime.exceptionThrown":
            self.console.append(params["exceptionDetails"]["text"])
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        elif method == "Page.loadEventFired":
            self.loaded = True

    def open(self, url):
        self.loaded = False
        self.call("Page.navigate", url=url)
        while not self.loaded:
            self.chromium.receive()

    def run(self, script):
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            sys.exit(f"{script[:200]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def press(self, key, code):
        text = "\r" if key == "Enter" else ""
        for kind in ("keyDown", "keyUp"):
            press = {"type": kind, "key": key, "windowsVirtualKeyCode": code}
            if text and kind == "keyDown":
                press["text"] = text
            self.call("Input.dispatchKeyEvent", **press)

    def shot(self, path):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
        return path

    def close(self):
        self.chromium.call("Target.closeTarget", targetId=self.target)


def say(found):
    print(json.dumps(found), flush=True)


UNFOLD = "document.querySelectorAll('details').forEach(one => { one.open = true }); 0"
REACHABLE = """
[...document.querySelectorAll('summary, [tabindex]')].filter(one => one.checkVisibility()).length
"""
VIOLATIONS = """
axe.run().then(found => found.violations.map(one =>
    `${one.id}: ${one.help}: ${one.nodes[0].html.slice(0, 300)}`))
"""

main()
