"""Runs every cell of the table and prints it. Called by ../run."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cells
import group_cells
import group_tools
import kcat
import segments
import table
import tools
from broker import KIND, WORK, Broker
from clients import drivers
from cluster import Cluster

# Nobody waits here for members that may come.
CONFIG = ["group.initial.rebalance.delay.ms=0"]
# What ottla's defaults are on three nodes, said so that no default changes what the table is about.
REPLICATED = ["default.replication.factor=3", "min.insync.replicas=2"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", help="only this client (again for more)")
    parser.add_argument("--op", action="append", help="only operations that begin with this")
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1, help="3: a cluster of three ottla nodes")
    parser.add_argument("--json", type=Path, default=WORK / "table.json", help="where the table goes as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the data directory")
    options = parser.parse_args()
    if options.nodes == 3 and (KIND != "ottla" or os.environ.get("BROKER_LAUNCH")):
        parser.error("three nodes are three of ottla")
    run = Run(options)
    try:
        run.all()
    finally:
        run.close()
    sys.exit(run.report())


class Run:
    def __init__(self, options):
        self.options = options
        self.work = Path(tempfile.mkdtemp(prefix="ottla-interop-"))
        self.broker = Broker(self.work / "data", CONFIG) if options.nodes == 1 else Cluster(
            self.work / "data", CONFIG + REPLICATED)
        self.results, self.lock = [], threading.Lock()
        self.began = time.monotonic()
        self.drivers = drivers()
        java, franz = (next(c for c in self.drivers if c.name == name) for name in ("java", "franz-go"))
        self.suite = cells.Suite(self.broker, self.work, java, franz)
        self.clients = [*self.drivers, kcat.Kcat(self.broker)]
        self.tools = tools.Tools(self.suite)
        self.online = self.tools.online + group_tools.GroupTools(self.suite).online
        self.replica_cells = [("node", "equal replicas", self.equal_replicas)] if options.nodes > 1 else []
        self.failure = None

    def all(self):
        started = self.broker.start()
        print(f"{KIND} answered after {started * 1000:.0f} ms on {self.broker.bootstrap}", flush=True)
        self.start_clients()
        self.suite.prepare()
        self.tools.fill_segments()
        jobs = [lambda c=c: self.client(c) for c in self.clients] + [lambda: self.tool_cells(self.online)]
        # The slowest first; two at a time, as there are two cores.
        jobs = jobs[-2:] + jobs[:-2]
        with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
            for job in [pool.submit(job) for job in jobs]:
                job.result()
        self.stop_clients()
        code = self.broker.stop()
        self.tool_cells([("node", "stop on SIGTERM", lambda: cells.check(code in (0, 143), f"exit code {code}"))])
        self.tool_cells([*self.replica_cells, *self.tools.offline])
        self.broker.start()
        self.start_clients()
        for client in self.clients:
            self.cell(client.name, "after restart", lambda client=client: cells.after_restart(self.suite, client, ""))
            self.cell(client.name, "group restart", lambda client=client: group_cells.group_restart(self.suite, client, ""))
        self.stop_clients()
        self.broker.stop()
        self.tool_cells([("node", "no unknown error", self.no_unknown_error)])

    def equal_replicas(self):
        """What a clean stop leaves of each partition is the same on each node, byte for byte."""
        first, *others = [segments.contents(node.data) for node in self.broker.nodes]
        cells.check(first, "nothing is stored")
        for other in others:
            wrong = sorted(name for name in first | other if first.get(name) != other.get(name))
            cells.check(not wrong, f"the replicas differ of {wrong}")

    def no_unknown_error(self):
        """ottla writes a line for each UNKNOWN_SERVER_ERROR that it answers, which is a bug."""
        lines = [line for node in self.broker.nodes for line in node.log.read_text(errors="replace").splitlines()
                 if KIND == "ottla" and "UNKNOWN_SERVER_ERROR" in line]
        cells.check(not lines, "\n".join(lines))

    def start_clients(self):
        for client in self.clients:
            client.start(self.broker.bootstrap, self.work / f"{client.name}.log")
        for client in self.clients:
            client.version = client.ask("hello")["version"]

    def stop_clients(self):
        for client in self.clients:
            client.stop()

    def client(self, client):
        for op, function in {**cells.OPERATIONS, **group_cells.OPERATIONS}.items():
            if op in client.offers:
                self.cell(client.name, op, lambda: function(self.suite, client, op))

    def tool_cells(self, planned):
        for name, op, function in planned:
            self.cell(name, op, function)

    def cell(self, name, op, function):
        if not self.wanted(name, op):
            return
        began, detail = time.monotonic(), ""
        try:
            function()
            status = "ok"
        except Exception as error:
            status, detail = "RED", f"{type(error).__name__}: {error}"
            if not isinstance(error, (cells.Wrong, cells.Refused)):
                detail += "\n" + traceback.format_exc(limit=-3)
        seconds = round(time.monotonic() - began, 2)
        with self.lock:
            self.results.append({"client": name, "operation": op, "status": status, "detail": detail,
                                 "seconds": seconds})
            print(f"{status:4} {name:24} {op:20} {seconds:6.2f} s  {detail.splitlines()[0] if detail else ''}",
                  flush=True)

    def wanted(self, name, op):
        clients, ops = self.options.client, self.options.op
        return (not clients or name in clients) and (not ops or any(op.startswith(wanted) for wanted in ops))

    def planned(self):
        for client in self.clients:
            for op in client.offers:
                yield client.name, op
            yield client.name, "after restart"
        for name, op, _ in self.online + self.replica_cells + self.tools.offline:
            yield name, op
        yield "node", "stop on SIGTERM"
        yield "node", "no unknown error"

    def report(self):
        """A planned cell that has no result is red, and so is a run without cells: skipping hides nothing."""
        done = {(result["client"], result["operation"]) for result in self.results}
        for name, op in self.planned():
            if (name, op) not in done and self.wanted(name, op):
                self.results.append({"client": name, "operation": op, "status": "RED", "detail": "skipped",
                                     "seconds": 0})
        versions = {client.name: client.version for client in self.clients}
        print(table.text(self.results, versions))
        red = [result for result in self.results if result["status"] == "RED"]
        seconds = round(time.monotonic() - self.began)
        for result in red:
            print(f"\nRED {result['client']} / {result['operation']}: {result['detail']}")
        print(f"\n{len(self.results) - len(red)} cells ok, {len(red)} red; {seconds} s; {KIND}, nodes: {self.options.nodes}")
        self.options.json.write_text(json.dumps(
            {"broker": KIND, "nodes": self.options.nodes, "seconds": seconds, "versions": versions,
             "cells": self.results}, indent=1))
        return 1 if red or not self.results else 0

    def close(self):
        self.stop_clients()
        self.broker.kill()
        if self.options.keep or any(result["status"] == "RED" for result in self.results):
            print(f"kept: {self.work}")
        else:
            shutil.rmtree(self.work, ignore_errors=True)


if __name__ == "__main__":
    main()
