"""Nodes in network namespaces of their own behind a bridge; nftables rules of the receiver cut links. Needs root."""

import os
import subprocess


class Network:
    def __init__(self, numbers):
        self.tag, self.numbers = f"{os.getpid():x}", list(numbers)
        self.prefix = f"10.{128 | os.getpid() >> 8 & 0x3F}.{os.getpid() & 0xFF}"
        self.bridge = f"os{self.tag}"
        try:
            self.make()
        except BaseException:
            self.remove()
            raise

    def make(self):
        if f"{self.prefix}." in ip("-4", "route"):
            raise SystemExit(f"the network {self.prefix}.0/24 is in use here")
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{self.prefix}.1/24", "dev", self.bridge)
        ip("link", "set", self.bridge, "up")
        for number in self.numbers:
            name, link = self.namespace(number), self.link(number)
            ip("netns", "add", name)
            ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", link, "master", self.bridge, "up")
            ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "eth0", "up")
            self.nft(number, "add table inet ottla\n"
                             "add chain inet ottla input { type filter hook input priority 0 ; }\n")

    def remove(self):
        for number in self.numbers:
            # A link would go with its namespace, but sockets that nobody answers keep that for minutes.
            subprocess.run(["ip", "link", "del", self.link(number)], stderr=subprocess.DEVNULL)
            subprocess.run(["ip", "netns", "del", self.namespace(number)], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", self.bridge], stderr=subprocess.DEVNULL)

    def address(self, number):
        return f"{self.prefix}.{number + 10}"

    def namespace(self, number):
        return f"ottla-show-{self.tag}-{number}"

    def link(self, number):
        return f"os{self.tag}n{number}"

    def command(self, number, *words):
        """`ip` becomes the program: the process id is the node's."""
        return ["ip", "netns", "exec", self.namespace(number), *words]

    def cut_off(self, number, *others):
        """Nothing passes between a node and others."""
        for other in others:
            self.nft(number, f"add rule inet ottla input ip saddr {self.address(other)} drop\n")
            self.nft(other, f"add rule inet ottla input ip saddr {self.address(number)} drop\n")

    def cut_fetches(self, leader, follower, port):
        """What a follower asks of a leader's port does not arrive, nor does an answer; all else does."""
        self.nft(leader, f"add rule inet ottla input ip saddr {self.address(follower)} tcp dport {port} drop\n")
        self.nft(follower, f"add rule inet ottla input ip saddr {self.address(leader)} tcp sport {port} drop\n")

    def heal(self):
        for number in self.numbers:
            self.nft(number, "flush chain inet ottla input\n")

    def nft(self, number, script):
        subprocess.run(self.command(number, "nft", "-f", "-"), input=script, text=True, check=True)


def ip(*words):
    return subprocess.run(["ip", *words], check=True, text=True, stdout=subprocess.PIPE).stdout
