"""Programs that listen on a port of this machine while they are needed."""
import os
import socket
import subprocess
import time

import rivals

READY_SEC, END_SEC = 300, 10


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """Started by `with`, which waits until it is ready; ended, and waited for,
    by leaving it.

    @param command  of the port: the command line.
    @param log      the file that takes what it says.
    """

    def __init__(self, command, log):
        self.port = free_port()
        self.command = command(self.port)
        self.log = log
        self.process = None

    def __enter__(self):
        with open(self.log, "wb") as log:
            try:
                self.process = subprocess.Popen(
                    self.command, stdout=log, stderr=log,
                    stdin=subprocess.DEVNULL, cwd=os.path.dirname(self.log))
            except OSError as error:
                raise rivals.Failed(f"{self.command[0]}: {error.strerror}")
        try:
            self.wait()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def wait(self):
        end = time.monotonic() + READY_SEC
        while not self.is_ready():
            status = self.process.poll()
            if status is not None:
                raise rivals.Failed(f"{self.said()} (status {status})")
            if time.monotonic() > end:
                raise rivals.Failed(f"{self.said()} (not ready in "
                                    f"{READY_SEC} s)")
            time.sleep(0.05)

    def is_ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def said(self):
        with open(self.log, errors="replace") as f:
            return f"{' '.join(self.command)}: {rivals.cause(f.read())}"

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(END_SEC)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
