"""Three ottla nodes under test, each a process of its own on this machine; ended by their ids only.

Looks like a `Broker` (lib/broker.py) to whoever needs one: `kill` and `start` are of all nodes. `DURING_RESTART` of a
single node is `node(i).kill()` and `node(i).start()`.
"""

import socket
import struct
from pathlib import Path

from broker import Broker, binary, free_port, receive

COUNT = 3


class Node(Broker):
    """One node of the cluster."""

    def __init__(self, cluster, number):
        super().__init__(cluster.data / f"node-{number}", cluster.config)
        self.cluster, self.number = cluster, number
        self.quorum = f"{number}@127.0.0.1:{free_port()}"

    def command(self):
        pairs = [word for pair in self.config for word in ("--config", pair)]
        return [binary(), "node", "start", "--id", str(self.number), "--peers", self.cluster.peers, "--listen",
                self.bootstrap, "--data", str(self.data), *pairs]


class Cluster:
    def __init__(self, data, config=()):
        self.data, self.config = Path(data), list(config)
        self.data.mkdir(parents=True, exist_ok=True)
        self.nodes = [Node(self, number) for number in range(1, COUNT + 1)]
        self.peers = ",".join(node.quorum for node in self.nodes)
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)
        self.port = self.nodes[0].port

    def node(self, number):
        return self.nodes[number - 1]

    @property
    def process(self):
        """A node that has ended by itself, or any."""
        ended = [node for node in self.nodes if node.process is None or node.process.poll() is not None]
        return (ended or self.nodes)[0].process

    def start(self, timeout=60.0):
        """Starts whoever does not run; the seconds until all answer."""
        down = [node for node in self.nodes if node.process is None or node.process.poll() is not None]
        for node in down:
            node.launch()
        return max((node.wait(timeout) for node in down), default=0.0)

    def kill(self):
        for node in self.nodes:
            node.kill()

    def stop(self, timeout=60.0):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.terminate()
        codes = [node.stop(timeout) for node in self.nodes]
        return next((code for code in codes if code != 0), 0)

    def tail(self, lines=20):
        return "\n".join(f"node {node.number}:\n{node.tail(lines)}" for node in self.nodes)

    def leader_of(self, topic, partition):
        """The number of the node that leads a partition, or None."""
        for node in self.nodes:
            if (found := leader_of(node.port, topic, partition)) is not None:
                return found
        return None

    def controller(self):
        """The number of the node that leads the quorum, as the nodes that answer say."""
        for node in self.nodes:
            if (found := controller(node.port)) is not None:
                return found
        return None


def metadata(port, topic):
    """The body of a Metadata v1 answer behind its correlation id, or None."""
    topics = struct.pack(">i", 1) + struct.pack(">h", len(topic)) + topic.encode() if topic else struct.pack(">i", 0)
    request = struct.pack(">hhih", 3, 1, 7, -1) + topics
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return receive(connection, struct.unpack(">i", receive(connection, 4))[0])[4:]
    except (OSError, EOFError):
        return None


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def text(self):
        size = self.take("h")
        self.at += max(size, 0)
        return self.data[self.at - max(size, 0):self.at].decode()

    def numbers(self):
        return [self.take("i") for _ in range(self.take("i"))]


def read_metadata(data):
    """(controller, {partition: leader}) of a Metadata v1 answer about at most one topic."""
    reader = Reader(data)
    for _ in range(reader.take("i")):
        reader.take("i"), reader.text(), reader.take("i"), reader.text()
    controller_id, leaders = reader.take("i"), {}
    for _ in range(reader.take("i")):
        reader.take("h"), reader.text(), reader.take("b")
        for _ in range(reader.take("i")):
            reader.take("h")
            partition, leader = reader.take("ii")
            reader.numbers(), reader.numbers()
            leaders[partition] = leader
    return controller_id, leaders


def leader_of(port, topic, partition):
    data = metadata(port, topic)
    leader = read_metadata(data)[1].get(partition, -1) if data else -1
    return leader if leader >= 0 else None


def controller(port):
    data = metadata(port, None)
    found = read_metadata(data)[0] if data else -1
    return found if found >= 0 else None
