"""One broker under test: ottla (default), Apache Kafka (`BROKER=kafka`), or what `BROKER_LAUNCH` names.

`BROKER_LAUNCH` is an executable that is called with PORT, DATA and `key=value` configs, and becomes the broker. The
broker is a process group of its own; it is ended by its id only.
"""

import os
import random
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
WORK = Path(os.environ.get("INTEROP_WORK", HERE / ".work"))
KIND = os.environ.get("BROKER", "ottla")


def free_port():
    """A port that is free now, with a free one above it (Kafka's controller). It is below those that the system gives to
    connections: of these one may be taken at any time, and after a long show all but one of them wait for their end."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
                return port
            except OSError:
                continue


def binary():
    return os.environ.get("OTTLA_BIN", str(ROOT / "target" / "release" / "ottla"))


class Broker:
    def __init__(self, data, config=()):
        # As a cluster has them: whoever looks at ports, files or logs looks at those of each node.
        self.nodes = [self]
        self.data = Path(data)
        self.config = list(config)
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.process = None
        self.log = self.data.parent / f"{self.data.name}.log"

    def command(self):
        port, data = str(self.port), str(self.data)
        if launch := os.environ.get("BROKER_LAUNCH"):
            return [launch, port, data, *self.config]
        if KIND == "kafka":
            return [str(HERE / "lib" / "kafka-broker"), port, data, *self.config]
        pairs = [word for pair in self.config for word in ("--config", pair)]
        return [binary(), "node", "start", "--listen", self.bootstrap, "--data", data, *pairs]

    def environment(self):
        """The node reads OTTLA_... as settings: what is only for this harness is not for the node."""
        if os.environ.get("BROKER_LAUNCH"):
            return dict(os.environ)
        return {name: value for name, value in os.environ.items() if not name.startswith("OTTLA_")}

    def start(self, timeout=60.0):
        """Starts it; returns the seconds until it answered ApiVersions."""
        self.launch()
        return self.wait(timeout)

    def launch(self):
        """Starts it and does not wait."""
        self.began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.environment(), start_new_session=True)

    def wait(self, timeout):
        """Waits until it answers ApiVersions; the seconds since it was launched."""
        began = self.began
        while api_versions(self.port) is None:
            if self.process.poll() is not None:
                raise RuntimeError(f"the broker ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() - began > timeout:
                self.kill()
                raise RuntimeError(f"no answer in {timeout} s:\n{self.tail()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def kill(self):
        """kill -9 of the whole group, as a dead machine would end it."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, timeout=30.0):
        """SIGTERM; returns the exit code, or None if it had to be killed."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                return None
        return self.process.returncode

    def tail(self, lines=20):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def api_versions(port):
    """{api key: (lowest, highest)} as ApiVersions v0 tells it, or None if nothing answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            request = struct.pack(">hhih", 18, 0, 7, -1)
            connection.sendall(struct.pack(">i", len(request)) + request)
            size = struct.unpack(">i", receive(connection, 4))[0]
            answer = receive(connection, size)
    except (OSError, EOFError):
        return None
    correlation, error, count = struct.unpack_from(">ihi", answer)
    if correlation != 7 or error != 0:
        return None
    entries = (struct.unpack_from(">hhh", answer, 10 + 6 * i) for i in range(count))
    return {key: (low, high) for key, low, high in entries}


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
