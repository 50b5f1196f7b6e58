#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""terminal.py STEP... -- COMMAND...: runs a command on a terminal of its own, as a user has one.

Steps, in order; a failed one shows what was on the screen:
  size=ROWSxCOLUMNS   of the terminal; before the command starts if it comes first
  type=TEXT           with Python's escapes: \\r is the return key, \\x03 is ^C
  see=TEXT            waits until that appears behind what was seen last
  unseen=TEXT         it must not have appeared behind that yet
  raw, cooked         the terminal's modes: each key passed on, or as before the command
  signal=NAME         to the command
  wait=SECONDS
  print               all that was on the screen is printed at the end, without carriage returns
  lines=N             waits for the numbers 1 to N, a line each, and nothing between them
  end=CODE            waits for the command's end; a signal is 128 and its number. Modes are as before.
  gone=CODE           the same, whatever the modes are
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE_S = 20 * float(os.environ.get("DUET_TEST_SLOW", "1"))


class Failure(Exception):
    pass


class Terminal:
    def __init__(self, command, size):
        self.master, self.slave = pty.openpty()
        if size:
            self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.screen = b""
        self.seen = 0
        self.status = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.master)
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            # A background job of a shell ignores it.
            for number in signal.SIGINT, signal.SIGQUIT:
                signal.signal(number, signal.SIG_DFL)
            os.closerange(3, 256)
            os.execvp(command[0], command)

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            self.screen += os.read(self.master, 65536)
            return True
        return False

    def until(self, what, check):
        end = time.monotonic() + PATIENCE_S
        while not check():
            if time.monotonic() > end:
                raise Failure(f"in vain waited for {what}")
            if not self.read(0.02) and self.status is None:
                self.ended()
            elif self.status is not None and not self.read(0) and not check():
                raise Failure(f"it ended with {self.status} before {what}")

    def see(self, text):
        def found():
            at = self.screen.find(text, self.seen)
            if at >= 0:
                self.seen = at + len(text)
            return at >= 0
        self.until(text, found)

    def type(self, text):
        while text:
            select.select([], [self.master], [], 1)
            text = text[os.write(self.master, text[:256]):]
            self.read(0)

    def lines(self, count):
        want = b"".join(b"%d\r\n" % n for n in range(1, count + 1))
        start = self.screen.find(b"1\r\n2\r\n", self.seen)
        self.until(f"{count} lines", lambda: len(self.screen) >= self.seen + len(want))
        start = self.screen.find(b"1\r\n2\r\n", self.seen)
        if self.screen[start:start + len(want)] != want:
            raise Failure("lines are lost or mixed")
        self.seen = start + len(want)

    def modes(self):
        return termios.tcgetattr(self.slave)

    def ended(self):
        if self.status is not None:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            self.status = code if code >= 0 else 128 - code
        return pid != 0

    def end(self, code, restored):
        self.until("the end", self.ended)
        while self.read(0.05):
            pass
        if self.status != code:
            raise Failure(f"exit code {self.status}, not {code}")
        if restored and self.modes() != self.before:
            raise Failure("the terminal is not as it was before")


def unescape(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


def step(terminal, name, value):
    if name == "size":
        terminal.resize(*map(int, value.split("x")))
    elif name == "type":
        terminal.type(unescape(value))
    elif name == "see":
        terminal.see(unescape(value))
    elif name == "unseen":
        terminal.read(0)
        if unescape(value) in terminal.screen[terminal.seen:]:
            raise Failure("it has appeared")
    elif name == "raw":
        terminal.until("raw modes", lambda: not terminal.modes()[3] & (termios.ICANON | termios.ECHO | termios.ISIG))
    elif name == "cooked":
        terminal.until("cooked modes", lambda: terminal.modes() == terminal.before)
    elif name == "signal":
        os.kill(terminal.pid, getattr(signal, "SIG" + value))
    elif name == "wait":
        time.sleep(float(value))
    elif name == "lines":
        terminal.lines(int(value))
    elif name in ("end", "gone"):
        terminal.end(int(value), name == "end")
    elif name != "print":
        raise Failure("no such step")


def main():
    at = sys.argv.index("--")
    steps = [word.partition("=")[::2] for word in sys.argv[1:at]]
    first = tuple(map(int, steps.pop(0)[1].split("x"))) if steps[0][0] == "size" else None
    terminal = Terminal(sys.argv[at + 1:], first)
    for name, value in steps:
        try:
            step(terminal, name, value)
        except (Failure, OSError) as failure:
            print(f"{name}={value}: {failure}; on the screen:\n{terminal.screen[-4000:]!r}")
            if terminal.status is None:
                os.kill(terminal.pid, signal.SIGKILL)
            return 1
    if ("print", "") in steps:
        sys.stdout.write(re.sub("\r", "", terminal.screen.decode(errors="replace")))
    return 0


sys.exit(main())
