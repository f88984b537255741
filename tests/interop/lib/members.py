"""Members of groups: a client's process each, which writes to a log of its own what happens to it.

A line of the log is an event `e` at the time `at`, CLOCK_MONOTONIC in nanoseconds:
  assigned, revoked, lost   partitions `p`; with the generation (or member epoch) `gen` if the client tells it
  record                    one that was processed: `p`, `o`, `k`, `v`, `h`, `t` as in record files
  committing                the client is about to commit
  committed                 `offsets` by partition, which the coordinator has acknowledged
  returned                  the commit is over, and the client does not tell what came of it
  refused, error            what the coordinator, or the client, said
  left                      the end of a member that left in order
A member commits what it has processed before it asks for more, and `revoked` is said before the client goes on: whoever
owns a partition after that owns it alone.
"""

import json
import signal
import time

from ownership import History

#: What the broker demands at least.
SESSION_MS = 6000
SERVER_SIDE = [("consumer", "uniform"), ("consumer", "range")]


def classic(*assignors):
    return [("classic", assignor) for assignor in assignors]


#: (protocol, assignor) of each client. librdkafka has no eager sticky assignor, kafkajs has its own round robin alone.
ASSIGNORS = {
    "java": classic("range", "roundrobin", "sticky", "cooperative-sticky") + SERVER_SIDE,
    "librdkafka": classic("range", "roundrobin", "cooperative-sticky") + SERVER_SIDE,
    "confluent-py": classic("range", "roundrobin", "cooperative-sticky") + SERVER_SIDE,
    "franz-go": classic("range", "roundrobin", "sticky", "cooperative-sticky") + SERVER_SIDE,
    "sarama-2.1": classic("range", "roundrobin", "sticky"),
    "sarama": classic("range", "roundrobin", "sticky", "cooperative-sticky"),
    "kafka-python": classic("range", "roundrobin", "sticky", "cooperative-sticky"),
    "kafkajs": classic("roundrobin"),
}

#: Whose cooperative members claim, when they join anew, what they lost before, in no generation: the assignor keeps its last
#: assignment, and its leader believes the last claim that it reads, though another member has the partition (3.0.12).
CLAIMANTS = {"kafka-python"}

#: Whose members never hear of their commits.
UNTOLD = {"sarama", "sarama-2.1"}


class Member:
    """One consumer of a group; `client` is a process of its own."""

    def __init__(self, name, client, directory):
        self.name, self.client = name, client
        self.log = directory / f"{name}.events"
        self.stderr = directory / f"{name}.log"
        self.events, self.owned, self.read = [], set(), 0
        #: When it ended without a word.
        self.ended = None

    def history(self):
        return History(self.name, self.events, self.ended, self.client.name in CLAIMANTS)

    def join(self, bootstrap, group, topic, protocol, assignor, **more):
        self.client.start(bootstrap, self.stderr)
        self.client.ask("join", **{"group": group, "topic": topic, "protocol": protocol, "assignor": assignor,
                                   "session": SESSION_MS, "log": str(self.log), **more})

    def leave(self):
        self.client.ask("leave")
        self.client.stop()
        self.follow()

    def kill(self):
        """kill -9."""
        if self.client.process and self.client.process.poll() is None:
            self.client.process.kill()
            self.client.process.wait()
            self.ended = time.monotonic_ns()
        self.follow()
        self.owned = set()

    def freeze(self):
        """It does nothing from now on, and does not know that: a long pause, as of a machine that swaps."""
        self.client.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.client.process.send_signal(signal.SIGCONT)

    def follow(self):
        """Reads what it has said since; a line that a kill has cut is no line."""
        if not self.log.exists():
            return
        with open(self.log, "rb") as file:
            file.seek(self.read)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        self.read += whole
        for line in text[:whole].splitlines():
            event = json.loads(line)
            self.events.append(event)
            if event["e"] == "assigned":
                self.owned |= set(event["p"])
            elif event["e"] in ("revoked", "lost"):
                self.owned -= set(event["p"])
            elif event["e"] == "left":
                self.owned = set()

    def count(self, kind):
        return sum(event["e"] == kind for event in self.events)

    def is_committing(self, since):
        """Whether a commit that began before this time is not over yet."""
        begun = sum(event["e"] == "committing" and event["at"] < since for event in self.events)
        return begun > self.count("committed") + self.count("refused") + self.count("returned")

    def last(self, *kinds):
        return next((event for event in reversed(self.events) if event["e"] in kinds), None)
