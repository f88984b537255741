"""What the shows of groups share: a producer of numbered records, an observer of what is committed, members that settle."""

import base64
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import wire  # noqa: E402
from clients import drivers  # noqa: E402
from members import UNTOLD, Member  # noqa: E402
from wire import Client, named  # noqa: E402

#: The least that the broker lets a session be, so that a kill is noticed soon; no waiting for members that may come.
CONFIG = ["group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=6000",
          "group.consumer.min.session.timeout.ms=6000", "group.consumer.session.timeout.ms=6000",
          "group.consumer.min.heartbeat.interval.ms=500", "group.consumer.heartbeat.interval.ms=500"]
#: The records are as old as the harness's.
FOR_EVER = {"retention.ms": "-1"}
REPLICATED = ["default.replication.factor=3", "min.insync.replicas=2"]

#: Another try, maybe elsewhere, is what these ask for.
RETRIABLE = {3, 5, 6, 7, 14, 15, 16, 19, 20}
#: How long a group may take to come to rest after anything that happened to it.
SETTLED_WITHIN = 40


class Background:
    """Something that runs beside the show until `stop`; what went wrong in it is raised there."""

    def __init__(self):
        self.is_over, self.failed = threading.Event(), None
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()

    def guarded(self):
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001
            self.failed = error

    def stop(self):
        self.is_over.set()
        self.thread.join()
        if self.failed:
            raise self.failed


class Producer(Background):
    """Writes numbered records to all partitions in turn, acks=all; `produced` is what was acknowledged."""

    def __init__(self, broker, topic, partitions, pace=0.01, size=3):
        self.addresses = [("127.0.0.1", node.port) for node in broker.nodes]
        self.topic, self.partitions, self.pace, self.size = topic, partitions, pace, size
        self.produced, self.connections, self.leaders, self.count = {}, {}, {}, 0
        super().__init__()

    def run(self):
        partition = 0
        while not self.is_over.is_set():
            partition = (partition + 1) % self.partitions
            values = [str(self.count + place) for place in range(self.size)]
            try:
                error, base = self.leader(partition).produce(self.topic, partition, values, timeout=5)
            except (OSError, EOFError):
                self.forget(partition)
                continue
            if error in RETRIABLE:
                self.forget(partition)
                continue
            if error:
                raise SystemExit(f"a record was refused: {named(error)}")
            for place, value in enumerate(values):
                self.produced[partition, base + place] = base64.b64encode(value.encode()).decode()
            self.count += self.size
            time.sleep(self.pace)

    def leader(self, partition):
        if partition not in self.leaders:
            number = wire.leader_of(self.addresses, self.topic, partition)
            if number is None:
                raise OSError("no leader")
            self.leaders[partition] = number
        number = self.leaders[partition]
        if number not in self.connections:
            self.connections[number] = Client(self.addresses[number - 1], timeout=10)
        return self.connections[number]

    def forget(self, partition):
        number = self.leaders.pop(partition, None)
        if number in self.connections:
            self.connections.pop(number).close()
        time.sleep(0.05)

    def ends(self):
        """{partition: the offset behind its last record}."""
        found = {}
        for partition, offset in list(self.produced):
            found[partition] = max(offset + 1, found.get(partition, 0))
        return found


def coordinator(addresses, group):
    """The number of the coordinator as the first node says that knows, or None."""
    for address in addresses:
        try:
            client = Client(address, timeout=5)
            with client.socket:
                error, number = client.coordinator(group)
            if error == 0:
                return number
        except (OSError, EOFError):
            pass
    return None


def committed(addresses, group, topic, partitions):
    """(asked at, told at, {partition: offset}) from the coordinator, or None if none answers."""
    number = coordinator(addresses, group)
    if number is None:
        return None
    asked = time.monotonic_ns()
    try:
        client = Client(addresses[number - 1], timeout=5)
        with client.socket:
            error, found = client.committed(group, topic, partitions)
    except (OSError, EOFError):
        return None
    if error and error not in RETRIABLE:
        raise SystemExit(f"OffsetFetch: {named(error)}")
    return None if error else (asked, time.monotonic_ns(), found)


def listed(address, group):
    """(state, type) of a group as its coordinator says, or None."""
    try:
        client = Client(address, timeout=5)
        with client.socket:
            return client.listed(group)
    except (OSError, EOFError):
        return None


def kind(addresses, group):
    """What the group is, classic or consumer: a client that finds no new protocol speaks the classic one without a word."""
    def ask():
        number = coordinator(addresses, group)
        return number is not None and listed(addresses[number - 1], group)
    return wire.wait_for(f"what {group} is", ask)[1]


class Observer(Background):
    """Asks all the time what is committed."""

    def __init__(self, broker, group, topic, partitions):
        self.addresses = [("127.0.0.1", node.port) for node in broker.nodes]
        self.group, self.topic, self.partitions, self.seen = group, topic, partitions, []
        super().__init__()

    def run(self):
        while not self.is_over.is_set():
            if found := committed(self.addresses, self.group, self.topic, self.partitions):
                self.seen.append(found)
            time.sleep(0.05)

    def latest(self):
        return self.seen[-1][2] if self.seen else {}

    def wait_for_commits(self, member):
        """Waits until a commit of this member is acknowledged: what it has goes on, and it heard so if its client tells."""
        member.follow()
        before, told = self.latest(), member.count("committed")
        def is_acknowledged():
            member.follow()
            now = self.latest()
            return any(now.get(p, -1) > max(before.get(p, -1), 0) for p in member.owned) and (
                member.client.name in UNTOLD or member.count("committed") > told)
        wire.wait_for(f"a commit of {member.name} that is acknowledged", is_acknowledged)


class Group:
    """The members of one group and everyone who has been one."""

    def __init__(self, broker, name, topic, directory):
        self.broker, self.name, self.topic, self.directory = broker, name, topic, directory
        self.members = []

    def join(self, client, protocol, assignor):
        """A new member on the client of this name; it joins while others go on."""
        driver = next(one for one in drivers() if one.name == client)
        member = Member(f"{self.name}-{len(self.members) + 1}", driver, self.directory)
        self.members.append(member)
        member.join(self.broker.bootstrap, self.name, self.topic, protocol, assignor)
        return member

    def settled(self, members, partitions, what):
        """Waits until the members own everything, each something, and stay so; the seconds it took."""
        began, since = time.monotonic(), None
        while True:
            for member in self.members:
                member.follow()
            owned = [member.owned for member in members]
            good = set().union(*owned) == set(range(partitions)) and sum(map(len, owned)) == partitions and all(owned)
            since = (since or time.monotonic()) if good else None
            if since and time.monotonic() - since > 0.3:
                return since - began
            if time.monotonic() - began > SETTLED_WITHIN:
                raise SystemExit(f"{what}: not settled in {SETTLED_WITHIN} s; " + ", ".join(
                    f"{member.name} owns {sorted(member.owned)} ({describe(member)})" for member in members))
            time.sleep(0.02)

    def kill(self):
        for member in self.members:
            member.kill()


def describe(member):
    said = member.last("error", "refused")
    alive = "alive" if member.client.process and member.client.process.poll() is None else "ended"
    return f"{alive}, {said['e']}: {said['error']}" if said else alive
