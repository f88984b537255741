"""A member of a group in a thread of its own; what happens to it goes to its log (lib/members.py)."""

import json
import threading
import time


class Member:
    """What the Python members share: the loop, the offsets that are not committed yet, and the log.

    A client's own part is `poll` (records as dicts with p and o), `commit` (raises if refused), `close`, and calls of
    `assigned`, `revoked` and `lost` with (partitions, generation, member id).
    """

    def __init__(self, log, limit=None):
        # Not buffered: what was said before a kill -9 is in the file.
        self.log = open(log, "ab", buffering=0)
        self.limit, self.pending = limit, {}
        self.leaving = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            self.open()
            while not self.leaving.is_set():
                for record in self.poll():
                    self.take(record)
                self.settle()
            self.close()
        except Exception as error:
            self.say("error", error=f"{type(error).__name__}: {error}")
        self.say("left")

    def leave(self):
        self.leaving.set()
        self.thread.join()

    def take(self, record):
        if self.limit == 0:
            return
        if self.limit is not None:
            self.limit -= 1
        self.say("record", **record)
        self.pending[record["p"]] = record["o"] + 1

    def settle(self):
        """Commits what was taken; what is refused stays due."""
        if not self.pending:
            return
        self.say("committing")
        try:
            self.commit(self.pending)
        except Exception as error:
            self.say("refused", error=f"{type(error).__name__}: {error}")
            return
        self.say("committed", offsets=self.pending)
        self.pending = {}

    def assigned(self, partitions, generation, member):
        self.say("assigned", p=sorted(partitions), gen=generation, member=member)

    def revoked(self, partitions, generation, member):
        self.settle()
        self.gone("revoked", partitions, generation, member)

    def lost(self, partitions, generation, member):
        self.gone("lost", partitions, generation, member)

    def gone(self, event, partitions, generation, member):
        for partition in partitions:
            self.pending.pop(partition, None)
        self.say(event, p=sorted(partitions), gen=generation, member=member)

    def say(self, event, **more):
        self.log.write(json.dumps({"at": time.monotonic_ns(), "e": event, **more}).encode() + b"\n")
