"""The clients as the suite sees them: a process that answers JSON requests, with what it can express and offers."""

import contextlib
import json
import os
import queue
import subprocess
import threading

import records
from broker import HERE, KIND, WORK

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
READS = [f"consume {codec}" for codec in CODECS] + ["from offset", "by timestamp"]
STORES = ["idempotent", "auto create", "too large", "recompress", "append time"]
WRITES = [f"produce {codec}" for codec in CODECS]
GROUPS = ["group consume", "group resume", "group restart"]
GROUP_ADMIN = ["group list", "group describe", "group offsets", "group alter", "group delete"]


class Refused(Exception):
    """The client answered with an error."""


class Client:
    """One driver process; `ask` is for one thread at a time and takes the lock itself."""

    def __init__(self, name, command, offers, can=records.ALL, env=None):
        self.name, self.command, self.offers, self.can = name, command, offers, can
        self.env = {**os.environ, **(env or {})}
        self.process, self.answers = None, None
        self.lock = threading.Lock()
        self.version = "?"

    def another(self):
        """The same client as a process of its own."""
        return Client(self.name, self.command, self.offers, self.can, self.env)

    def start(self, bootstrap, log):
        self.answers = queue.Queue()
        self.process = subprocess.Popen([*self.command, bootstrap], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=open(log, "ab"), text=True, env=self.env)
        threading.Thread(target=self.listen, args=(self.process, self.answers), daemon=True).start()

    def listen(self, process, answers):
        for line in process.stdout:
            answers.put(line)
        answers.put("")

    def ask(self, op, timeout=40.0, **request):
        with self.lock:
            try:
                self.process.stdin.write(json.dumps({"op": op, **request}) + "\n")
                self.process.stdin.flush()
                line = self.answers.get(timeout=timeout)
            except queue.Empty:
                # The process is stuck: what it says later would answer the wrong question.
                self.process.kill()
                raise Refused(f"no answer in {timeout} s") from None
            except BrokenPipeError:
                line = ""
        if not line:
            raise Refused("the client's process has ended")
        answer = json.loads(line)
        if answer.get("unsupported"):
            raise Refused(f"the client does not offer {op}")
        if not answer["ok"]:
            raise Refused(answer["error"])
        return answer

    def stop(self):
        if self.process:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


ADMIN = ["metadata", "create topic", "create twice", "describe configs", "create partitions", "delete records",
         "list offsets", "delete topic"]


def drivers():
    python = str(WORK / "venv" / "bin" / "python")
    jvm = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]
    source = HERE / "clients"
    return [
        Client("java", [*jvm, f"{WORK}/java/classes:{WORK}/java/libs/*", "ottla.interop.Driver"],
               ADMIN + WRITES + READS + STORES + GROUPS + GROUP_ADMIN + [
                   "list offsets max", "alter configs", "log dirs", "quorum", "broker configs", "group together", "group static",
                   "group delete offsets"]),
        Client("librdkafka", [str(WORK / "rust" / "release" / "ottla-interop"), "driver", "--bootstrap"],
               ADMIN + WRITES + READS + STORES + GROUPS + ["legacy alter", "group together", "group static", "group list",
                                                          "group delete"]),
        Client("confluent-py", [python, str(source / "python" / "confluent_driver.py")],
               ADMIN + WRITES + READS + STORES + GROUPS + GROUP_ADMIN + [
                   "list offsets max", "alter configs", "legacy alter", "group together", "group static"]),
        Client("franz-go", [str(WORK / "go" / "interop"), "franz"],
               ADMIN + WRITES + READS + STORES + GROUPS + GROUP_ADMIN + [
                   "list offsets max", "alter configs", "legacy alter", "log dirs", "api versions", "group together",
                   "group static", "group delete offsets"]),
        # The request versions of 2018: what a client sends that was never told of a newer broker.
        Client("sarama-2.1", [str(WORK / "go" / "interop"), "sarama-2.1"],
               ADMIN + WRITES + READS + STORES + GROUPS + GROUP_ADMIN + ["legacy alter", "log dirs", "group together"]),
        Client("sarama", [str(WORK / "go" / "interop"), "sarama"],
               ADMIN + WRITES + READS + STORES + GROUPS + GROUP_ADMIN + [
                   "alter configs", "legacy alter", "log dirs", "group together", "group static", "group delete offsets"]),
        # kafka-python 3.0 refuses API keys that are newer than itself, as Kafka 4.4 has them.
        Client("kafka-python", [python, str(source / "python" / "kafka_python_driver.py")],
               ADMIN + WRITES + READS + STORES + GROUPS + GROUP_ADMIN + [
                   "list offsets max", "alter configs", "legacy alter", "log dirs", "quorum", "group together", "group static",
                   "group delete offsets", *(["api versions"] if KIND != "kafka" else [])],
               can=records.ALL - {"null_header", "null_both"}),
        Client("kafkajs", ["node", str(source / "node" / "driver.js")],
               ADMIN + WRITES + STORES + GROUPS + GROUP_ADMIN + ["legacy alter"],
               can=records.ALL - {"null_header", "repeated_header"},
               env={"NODE_PATH": str(WORK / "node" / "node_modules")}),
    ]
