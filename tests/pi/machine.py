"""An emulated board, and what can be done to it from outside: console, wire and pins.

Pins are seen through QEMU, not through anything that runs on the board: each edge as it happens
(qtest, irq_intercept_out), and the registers of a BCM2837 (monitor, xp).
"""

import os
import pathlib
import re
import socket
import struct
import subprocess
import threading
import time

BOOT_MAX = 300
COMMAND_MAX = 120


class Board:
    """A running board; a context manager."""

    def __init__(self, folder, files, root, options, gpio, console_port):
        """`options`: what QEMU is told besides; `gpio`: the device that has the pins, by its path
        or its type; `console_port`: which of the serial ports is the console, from 0."""
        self.folder = pathlib.Path(folder)
        self.edges = []  # (time, pin, level)
        self._lock, self._wire = threading.Lock(), threading.Lock()
        serial = ["file:uart.log"] * console_port + ["unix:con.sock,server=on,wait=off"]
        command = ["qemu-system-aarch64", "-display", "none", "-no-reboot",
                   "-kernel", files / "kernel", "-initrd", files / f"root-{root}.cpio.gz",
                   "-monitor", "unix:mon.sock,server=on,wait=off",
                   "-qtest", "unix:qt.sock,server=on,wait=off", "-qtest-log", "none",
                   *[word for one in serial for word in ("-serial", one)],
                   "-netdev", "stream,id=n0,server=on,addr.type=unix,addr.path=net.sock",
                   *options]
        log = open(self.folder / "qemu.log", "wb")
        self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log,
                                        stdin=subprocess.DEVNULL)
        self.console = Lines(self._connect("con.sock"))
        self.net = self._connect("net.sock")
        self.monitor = self._connect("mon.sock")
        self.qtest = self._connect("qt.sock")
        self.console.wait("BOOTED", BOOT_MAX)
        self._answers = Answers()
        threading.Thread(target=self._read_qtest, daemon=True).start()
        self.gpio = gpio if gpio.startswith("/") else self._device_of_type(gpio)
        self._qtest(f"irq_intercept_out {self.gpio}")
        self.hum()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _connect(self, name):
        until = time.monotonic() + 30
        while True:
            one = socket.socket(socket.AF_UNIX)
            try:
                # The name alone: a whole path may be longer than the kernel allows.
                here = os.open(self.folder, os.O_RDONLY)
                try:
                    one.connect(f"/proc/self/fd/{here}/{name}")
                finally:
                    os.close(here)
                return one
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "qemu.log").read_text()) from None
                time.sleep(0.05)

    # -- console

    def run(self, command, status=0):
        """Runs a command on the board; gives its output."""
        self.console.send(f"{{ {command}\n}} 2>&1; echo \"=END=$?=\"\n")
        text = self.console.wait(r"=END=(\d+)=", COMMAND_MAX)
        output, code = text[: text.rindex("=END=")], int(re.search(r"=END=(\d+)=", text)[1])
        if status is not None and code != status:
            raise AssertionError(f"{command}: {code}, not {status}\n{output}")
        return output.replace("\r", "").strip()

    def write(self, path, text):
        self.run(f"cat >{path} <<'=FILE='\n{text}\n=FILE=")

    # -- wire

    def send(self, frames):
        """Puts frames on the wire of eth0."""
        for frame in frames:
            with self._wire:
                self.net.sendall(struct.pack(">I", len(frame)) + frame)
            time.sleep(0.01)

    def hum(self):
        """A frame a second from now on, as there is on any wire: a silent one is a fault."""
        who_has = (b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x08\x06\0\x01\x08\0\x06\x04\0\x01"
                   b"\x02\0\0\0\0\x01" + bytes([192, 168, 1, 1]) + bytes(6)
                   + bytes([192, 168, 1, 77])).ljust(60, b"\0")

        def go_on():
            while self.process.poll() is None:
                try:
                    self.send([who_has])
                except OSError:
                    return  # the board was switched off
                time.sleep(1)

        threading.Thread(target=go_on, daemon=True).start()

    # -- pins

    def _read_qtest(self):
        for line in self.qtest.makefile():
            found = re.match(r"IRQ (raise|lower) (\d+)", line)
            if found:
                with self._lock:
                    self.edges.append((time.monotonic(), int(found[2]), found[1] == "raise"))
            else:
                self._answers.put(line.strip())

    def _qtest(self, command):
        self.qtest.sendall(command.encode() + b"\n")
        answer = self._answers.get()
        if not answer.startswith("OK"):
            raise RuntimeError(f"qtest: {command}: {answer}")

    def drive(self, pin, level):
        """Drives an input of the GPIO device."""
        self._qtest(f"set_irq_in {self.gpio} unnamed-gpio-in {pin} {int(level)}")

    def edges_of(self, pin, seconds, since=None):
        """Edges of a pin within the next seconds, as (time, level)."""
        begun = time.monotonic() if since is None else since
        time.sleep(max(0, begun + seconds - time.monotonic()))
        with self._lock:
            return [(at, level) for at, one, level in self.edges if one == pin and at >= begun]

    def wait_for_edge(self, pin, level, seconds, since):
        """When the pin first took that level."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self._lock:
                for at, one, what in self.edges:
                    if one == pin and what == level and at >= since:
                        return at
            time.sleep(0.01)
        raise AssertionError(f"pin {pin} did not become {level} within {seconds} s")

    def _ask(self, command, pattern):
        """What the monitor answers, as soon as it matches."""
        self.monitor.sendall(command.encode() + b"\n")
        text = ""
        while not (found := re.search(pattern, text)):
            text += self.monitor.recv(65536).decode(errors="replace")
        return found

    def _device_of_type(self, name):
        found = self._ask("info qom-tree", rf"/(device\[\d+\]) \({name}\)")
        return f"/machine/unattached/{found[1]}"

    def register(self, address):
        """A word of the board's memory."""
        return int(self._ask(f"xp /1wx {address:#x}", rf"{address:x}: 0x([0-9a-f]{{8}})")[1], 16)

    def is_output(self, pin):
        """By the function select register of a BCM2837."""
        word = self.register(0x3F200000 + 4 * (pin // 10))
        return word >> 3 * (pin % 10) & 7 == 1

    def level(self, pin):
        """By its level register."""
        return self.register(0x3F200034) >> pin & 1 == 1


class Answers:
    """What qtest answers, in order."""

    def __init__(self):
        self._lines, self._there = [], threading.Condition()

    def put(self, line):
        with self._there:
            self._lines.append(line)
            self._there.notify()

    def get(self):
        with self._there:
            if not self._there.wait_for(lambda: self._lines, 60):
                raise RuntimeError("qtest does not answer")
            return self._lines.pop(0)


class Lines:
    """A console: text comes in, and is taken up to what is waited for."""

    def __init__(self, connection):
        self._connection, self._text = connection, ""
        connection.settimeout(1)

    def send(self, text):
        # A serial line has no flow control: a whole script at once would overrun it.
        for start in range(0, len(text), 64):
            self._connection.sendall(text[start : start + 64].encode())
            time.sleep(0.005)

    def wait(self, pattern, seconds):
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self._text)):
            if time.monotonic() > until:
                raise AssertionError(f"no {pattern} on the console:\n{self._text[-3000:]}")
            try:
                self._text += self._connection.recv(65536).decode(errors="replace")
            except TimeoutError:
                continue
        taken, self._text = self._text[: found.end()], self._text[found.end() :]
        return taken


def raspberry(folder, files, root="arm64"):
    """A Raspberry Pi 3 B. Its console is the second serial port."""
    options = ["-M", "raspi3b", "-dtb", files / "board.dtb", "-device", "usb-net,netdev=n0",
               "-append", "console=ttyS1,115200 8250.nr_uarts=2 iomem=relaxed rdinit=/init "
                          "panic=-1 quiet"]
    return Board(folder, files, root, options, "/machine/soc/peripherals/gpio", 1)


def board_with_inputs(folder, files):
    """A board whose GPIO (a PL061 of eight pins) QEMU can drive from outside: its Raspberry Pi
    has no inputs."""
    options = ["-M", "virt", "-cpu", "cortex-a53", "-m", "512",
               "-device", "virtio-net-pci,netdev=n0,romfile=",
               "-append", "console=ttyAMA0 rdinit=/init panic=-1 quiet"]
    return Board(folder, files, "arm64", options, "pl061", 0)
