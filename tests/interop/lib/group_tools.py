"""What a Kafka distribution's scripts do with groups: each fact that they print is compared, whitespace is not."""

import json
import re
import time

import group_cells
import records
from cells import check, eventually, refusal, same
from clients import Refused
from group_cells import END, MIDDLE, joined, owned
from tools import console_print, tool

GROUPS, CONSOLE = "kafka-consumer-groups", "kafka-console-consumer"
FORMATTERS = "org.apache.kafka.tools.consumer."
OFFSETS = ("TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG")


class GroupTools:
    def __init__(self, suite):
        self.suite = suite
        self.online = [
            (GROUPS, "group list", self.list),
            (GROUPS, "group describe", lambda: self.describe("classic", "range")),
            (GROUPS, "group describe 848", lambda: self.describe("consumer", "uniform")),
            (GROUPS, "group reset", self.reset),
            (GROUPS, "group reset by time", self.reset_by_time),
            (GROUPS, "group reset files", self.reset_files),
            (GROUPS, "group delete", self.delete),
            (GROUPS, "group delete offsets", self.delete_offsets),
            (CONSOLE, "group consume", lambda: self.consume("classic")),
            (CONSOLE, "group consume 848", lambda: self.consume("consumer")),
            (CONSOLE, "group resume", self.resume),
            (CONSOLE, "group formatters", self.formatters),
        ]

    def run(self, *words, **more):
        """What kafka-consumer-groups prints; it says what is refused there as well, and ends with 0."""
        said = tool(GROUPS, "--bootstrap-server", self.suite.broker.bootstrap, *words, **more)
        if "Error:" in said:
            raise Refused(said.strip())
        return said

    def rows(self, *words):
        return list(rows(self.run(*words)))

    def topic(self, name, counts):
        """A topic with so many records in each partition."""
        self.suite.create(self.suite.java, name, len(counts))
        for partition, count in enumerate(counts):
            self.suite.produce(self.suite.java, name, partition, records.make(f"{name}-{partition}", count), "none", "all", "all")
        return name

    def simple(self, group, topic, offsets):
        """A group without members."""
        self.suite.franz.ask("alter_group_offsets", group=group, topic=topic, offsets=offsets)

    def offsets(self, group):
        return self.suite.franz.ask("group_offsets", group=group)["offsets"]

    def list(self):
        topic = self.topic("tool-listed", [1])
        self.simple("tool-idle", topic, {"0": 1})
        members = [joined(self.suite, self.suite.java, f"tool-{protocol}", topic, assignor=assignor, protocol=protocol)
                   for protocol, assignor in (("classic", "range"), ("consumer", "uniform"))]
        try:
            eventually(lambda: owned(*members), [[0], [0]], "partitions", seconds=20)
            names = {"tool-idle", "tool-classic", "tool-consumer"}
            check(names <= set(self.run("--list").split()), "a group is not listed")
            states = {row["GROUP"]: row["STATE"] for row in self.rows("--list", "--state")}
            same({"tool-idle": "Empty", "tool-classic": "Stable", "tool-consumer": "Stable"},
                 {name: states.get(name) for name in names}, "states")
            types = {row["GROUP"]: row["TYPE"] for row in self.rows("--list", "--type")}
            same({"tool-idle": "Classic", "tool-classic": "Classic", "tool-consumer": "Consumer"},
                 {name: types.get(name) for name in names}, "types")
            for words, wanted in ((["--state", "stable"], {"tool-classic", "tool-consumer"}), (["--state", "empty"], {"tool-idle"}),
                                  (["--type", "consumer"], {"tool-consumer"}), (["--state", "Dead,PreparingRebalance"], set()),
                                  (["--state", "stable,empty", "--type", "classic"], {"tool-idle", "tool-classic"})):
                same(wanted, {row["GROUP"] for row in self.rows("--list", *words)} & names, f"groups with {words}")
        finally:
            end(members)

    def describe(self, protocol, assignor):
        group = topic = self.topic(f"tool-live-{protocol}", [10, 20, 30])
        members = [joined(self.suite, self.suite.java, group, topic, assignor=assignor, protocol=protocol) for _ in range(2)]
        read = {str(partition): count for partition, count in enumerate((10, 20, 30))}
        try:
            eventually(lambda: sorted(map(len, owned(*members))), [1, 2], "partitions", seconds=20)
            eventually(lambda: self.offsets(group), read, "committed", seconds=10)
            ids = {member.last("assigned")["member"]: sorted(member.owned) for member in members}
            for words in ([], ["--offsets"], ["--offsets", "--verbose"], ["--timeout", "20000"]):
                self.described_offsets(group, topic, ids, *words)
            self.described_members(group, topic, ids, protocol)
            self.described_state(group, protocol, assignor)
            own = lambda names: {name for name in names if name.startswith("tool-")}
            same(own(self.run("--list").split()), own(self.every_group()), "all groups")
            for member in members:
                member.leave()
        finally:
            end(members)
        idle = [{**dict(zip(OFFSETS, (topic, str(p), str(n), str(n), "0"))), "GROUP": group, "CONSUMER-ID": "-", "HOST": "-",
                 "CLIENT-ID": "-"} for p, n in enumerate((10, 20, 30))]
        same(idle, self.rows("--describe", "--group", group), "the group that was left")
        same([], self.rows("--describe", "--group", group, "--members"), "its members")
        same([("Empty", "0")], [(row["STATE"], row["#MEMBERS"]) for row in self.rows("--describe", "--group", group, "--state")],
             "its state")
        refusal(lambda: self.run("--describe", "--group", "tool-nobody"), "GroupIdNotFoundException")

    def every_group(self):
        """A group that another cell deletes in the middle fails the script."""
        for attempt in range(5):
            try:
                return [row["GROUP"] for row in self.rows("--describe", "--all-groups", "--state")]
            except Refused as error:
                if "GroupIdNotFound" not in str(error) or attempt == 4:
                    raise

    def described_offsets(self, group, topic, ids, *words):
        found = self.rows("--describe", "--group", group, *words)
        owners = {str(partition): id for id, partitions in ids.items() for partition in partitions}
        wanted = [(group, topic, str(p), str(n), str(n), "0", owners[str(p)], "/127.0.0.1") for p, n in enumerate((10, 20, 30))]
        same(wanted, [tuple(row[name] for name in ("GROUP", *OFFSETS, "CONSUMER-ID", "HOST")) for row in found], f"{words}")
        same({f"consumer-{group}-1"}, {row["CLIENT-ID"] for row in found}, "client ids")
        if "--verbose" in words:
            same({"-"}, {row["LEADER-EPOCH"] for row in found}, "leader epochs, which were not committed")

    def described_members(self, group, topic, ids, protocol):
        wanted = {id: (group, "/127.0.0.1", f"consumer-{group}-1", str(len(partitions))) for id, partitions in ids.items()}
        described = lambda row: tuple(row[name] for name in ("GROUP", "HOST", "CLIENT-ID", "#PARTITIONS"))
        found = self.rows("--describe", "--group", group, "--members")
        same(wanted, {row["CONSUMER-ID"]: described(row) for row in found}, "members")
        found = self.rows("--describe", "--group", group, "--members", "--verbose")
        same(wanted, {row["CONSUMER-ID"]: described(row) for row in found}, "members, verbose")
        assigned = {id: f"{topic}:{','.join(map(str, partitions))}" for id, partitions in ids.items()}
        same(assigned, {row["CONSUMER-ID"]: row["CURRENT-ASSIGNMENT"] for row in found}, "assignments")
        targets = assigned if protocol == "consumer" else {id: "-" for id in ids}
        same(targets, {row["CONSUMER-ID"]: row["TARGET-ASSIGNMENT"] for row in found}, "target assignments")
        epochs = {(row["CURRENT-EPOCH"], row["TARGET-EPOCH"]) for row in found}
        check(all(current == target and (current.isdigit() or protocol == "classic") for current, target in epochs),
              f"epochs: {epochs}")

    def described_state(self, group, protocol, assignor):
        number = self.rows("--describe", "--group", group, "--state")[0]["COORDINATOR (ID)"]
        address, number = re.fullmatch(r"(\S+)\s+\((\d+)\)", number).groups()
        addresses = {broker["id"]: f"{broker['host']}:{broker['port']}" for broker in self.suite.franz.ask("metadata")["brokers"]}
        same(addresses[int(number)], address, "the coordinator's address")
        row = self.rows("--describe", "--group", group, "--state", "--verbose")[0]
        same((group, assignor, "Stable", "2"), tuple(row[name] for name in ("GROUP", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS")),
             "the state")
        epochs = row["GROUP-EPOCH"], row["TARGET-ASSIGNMENT-EPOCH"]
        check(epochs == ("-", "-") if protocol == "classic" else epochs[0].isdigit() and epochs[0] == epochs[1],
              f"epochs: {epochs}")

    def reset(self):
        """By offsets. A dry run, which is also what happens without a word, changes nothing."""
        group = topic = self.topic("tool-reset", [40, 40, 40])
        before = {"0": 5, "1": 35}
        for scope, how, wanted in (
                ([topic], ["--to-earliest"], {"0": 0, "1": 0, "2": 0}), ([topic], ["--to-latest"], {"0": 40, "1": 40, "2": 40}),
                ([f"{topic}:1,2"], ["--to-offset", "7"], {"1": 7, "2": 7}), ([topic], ["--to-offset", "700"], {"0": 40, "1": 40, "2": 40}),
                ([f"{topic}:0,1"], ["--shift-by", "10"], {"0": 15, "1": 40}), ([f"{topic}:0,1"], ["--shift-by", "-10"], {"0": 0, "1": 25}),
                ([f"{topic}:0,1"], ["--to-current"], {"0": 5, "1": 35}), (None, ["--to-latest"], {"0": 40, "1": 40})):
            where = ["--all-topics"] if scope is None else ["--topic", *scope]
            self.simple(group, topic, before)
            for run in (["--dry-run"], []):
                self.reset_as(group, topic, wanted, *where, *how, *run)
                same(before, self.offsets(group), f"offsets after a dry run {how}")
            self.reset_as(group, topic, wanted, *where, *how, "--execute")
            same({**before, **wanted}, self.offsets(group), f"offsets after {how}")
            self.run("--delete", "--group", group)
        self.simple(group, topic, before)
        member = joined(self.suite, self.suite.java, group, topic)
        try:
            eventually(lambda: owned(member), [[0, 1, 2]], "partitions", seconds=20)
            refusal(lambda: self.run("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute"),
                    "current state is Stable")
        finally:
            end([member])

    def reset_as(self, group, topic, wanted, *words):
        found = self.rows("--reset-offsets", "--group", group, *words)
        same({partition: (group, topic, str(offset)) for partition, offset in wanted.items()},
             {row["PARTITION"]: (row["GROUP"], row["TOPIC"], row["NEW-OFFSET"]) for row in found}, f"{words}")

    def reset_by_time(self):
        """A time behind every record means the end, as it does to Kafka's script."""
        group = topic = self.topic("tool-reset-time", [40])
        stamps = [record["t"] for record in records.make(f"{topic}-0", 40)]
        at = records.FIRST_TIME + 4_500
        wanted = next(place for place, stamp in enumerate(stamps) if stamp >= at)
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}"
        since = int(time.time()) - (records.FIRST_TIME // 1000 - 3600)
        for how, offset in ((["--to-datetime", when], wanted), (["--to-datetime", f"{when}Z"], wanted), (["--by-duration", "PT1H"], 40),
                            (["--by-duration", f"PT{since}S"], 0)):
            self.simple(group, topic, {"0": 20})
            self.reset_as(group, topic, {"0": offset}, "--topic", topic, *how, "--dry-run")
            same({"0": 20}, self.offsets(group), f"offsets after a dry run {how}")
            self.reset_as(group, topic, {"0": offset}, "--topic", topic, *how, "--execute")
            same({"0": offset}, self.offsets(group), f"offsets after {how}")

    def reset_files(self):
        """What --export prints is what --from-file reads; of several groups it names the group."""
        group = topic = self.topic("tool-reset-file", [40, 40])
        self.simple(group, topic, {"0": 20, "1": 30})
        self.simple(f"{group}-2", topic, {"0": 21})
        plan = self.suite.work / "plan.csv"
        plan.write_text(self.run("--reset-offsets", "--group", group, "--topic", topic, "--shift-by", "-2", "--export", "--dry-run"))
        same({f"{topic},0,18", f"{topic},1,28"}, set(plan.read_text().split()), "the exported plan")
        self.reset_as(group, topic, {"0": 18, "1": 28}, "--from-file", str(plan), "--dry-run")
        same({"0": 20, "1": 30}, self.offsets(group), "offsets after a dry run")
        self.reset_as(group, topic, {"0": 18, "1": 28}, "--from-file", str(plan), "--execute")
        same({"0": 18, "1": 28}, self.offsets(group), "offsets")
        both = ["--group", group, "--group", f"{group}-2"]
        said = self.run("--reset-offsets", *both, "--all-topics", "--to-offset", "3", "--export", "--execute")
        same({f"{group},{topic},0,3", f"{group},{topic},1,3", f"{group}-2,{topic},0,3"}, set(said.split()), "the plan of two groups")
        plan.write_text(f"{group},{topic},1,9\n{group}-2,{topic},0,8\n")
        # It reads the file as one group's first, and says that this is none.
        self.run("--reset-offsets", *both, "--from-file", str(plan), "--execute", aloud=True)
        same(({"0": 3, "1": 9}, {"0": 8}), (self.offsets(group), self.offsets(f"{group}-2")), "offsets of two groups")

    def delete(self):
        group = topic = self.topic("tool-deleted-group", [3])
        self.simple(f"{group}-2", topic, {"0": 1})
        member = joined(self.suite, self.suite.java, group, topic)
        try:
            eventually(lambda: owned(member), [[0]], "partitions", seconds=20)
            refusal(lambda: self.run("--delete", "--group", group), "GroupNotEmptyException")
            member.leave()
        finally:
            end([member])
        said = self.run("--delete", "--group", group, "--group", f"{group}-2")
        check("was successful" in said, said)
        left = set(self.run("--list").split())
        check(not left & {group, f"{group}-2"}, f"still listed: {left}")
        same({}, self.offsets(group), "offsets")
        refusal(lambda: self.run("--delete", "--group", group), "GroupIdNotFoundException")

    def delete_offsets(self):
        group = topic = self.topic("tool-deleted-offsets", [3, 3])
        statuses = lambda *words: {(row["PARTITION"], row["STATUS"]) for row in self.rows("--delete-offsets", *words)}
        self.simple(group, topic, {"0": 1, "1": 2})
        same({("0", "Successful")}, statuses("--group", group, "--topic", f"{topic}:0"), "one partition")
        same({"1": 2}, self.offsets(group), "offsets")
        same({("0", "Successful"), ("1", "Successful")}, statuses("--group", group, "--topic", topic), "the topic")
        same({}, self.offsets(group), "offsets")
        member = joined(self.suite, self.suite.java, f"{group}-live", topic)
        try:
            eventually(lambda: owned(member), [[0, 1]], "partitions", seconds=20)
            refusal(lambda: self.run("--delete-offsets", "--group", f"{group}-live", "--topic", topic), "GroupSubscribedToTopic")
        finally:
            end([member])
        refusal(lambda: self.run("--delete-offsets", "--group", "tool-nobody", "--topic", topic), "GroupIdNotFoundException")

    def consume(self, protocol):
        """The console consumer reads the first part, another client the rest."""
        group, (topic, wanted) = f"tool-first-{protocol}", self.suite.reference["franz-go", "lz4"]
        self.printed(group, topic, wanted, 0, MIDDLE, protocol)
        group_cells.read_part(self.suite, self.suite.java, group, topic, wanted, MIDDLE, END)

    def resume(self):
        group, (topic, wanted) = "tool-second", self.suite.reference["franz-go", "zstd"]
        group_cells.read_part(self.suite, self.suite.java, group, topic, wanted, 0, MIDDLE)
        self.printed(group, topic, wanted, MIDDLE, END, "classic")

    def printed(self, group, topic, wanted, first, until, protocol):
        properties = ("print.timestamp=true", "print.offset=true", "print.partition=true", "print.headers=true", "print.key=true",
                      "key.separator=|", "line.separator=\x02", "headers.separator=;", "null.literal=NULL")
        text = self.console("--topic", topic, "--group", group, "--from-beginning", "--max-messages", str(until - first),
                            "--command-property", f"group.protocol={protocol}",
                            *(word for pair in properties for word in ("--formatter-property", pair)))
        expected = b"".join(console_print(record, first + place) for place, record in enumerate(wanted[first:until]))
        check(text == expected, f"{len(text)} bytes printed, {len(expected)} expected; {text[:80]!r}, expected {expected[:80]!r}")
        eventually(lambda: self.offsets(group), {"0": until}, "committed")

    def console(self, *words, patience=10_000):
        return tool(CONSOLE, "--bootstrap-server", self.suite.broker.bootstrap, "--timeout-ms", str(patience), *words, binary=True)

    def formatters(self):
        """Kafka's own readers of `__consumer_offsets` find what a group has committed, and what it was."""
        group = topic = self.topic("tool-formatted", [5, 6])
        member = joined(self.suite, self.suite.java, group, topic)
        try:
            eventually(lambda: self.offsets(group), {"0": 5, "1": 6}, "committed", seconds=20)
            member.follow()
            id = member.last("assigned")["member"]
            member.leave()
        finally:
            end([member])
        self.suite.franz.ask("delete_group_offsets", group=group, topic=topic, partition=1)
        last = {(key["topic"], key["partition"]): value for key, value in self.formatted("OffsetsMessageFormatter", group)}
        same({(topic, 0), (topic, 1)}, set(last), "the keys of offsets")
        same((5, -1, ""), tuple(last[topic, 0]["data"][name] for name in ("offset", "leaderEpoch", "metadata")), "partition 0")
        age = time.time() * 1000 - last[topic, 0]["data"]["commitTimestamp"]
        check(0 <= age < 120_000, f"committed {age} ms ago")
        same(None, last[topic, 1], "the tombstone of partition 1")
        values = [value["data"] for _, value in self.formatted("GroupMetadataMessageFormatter", group)]
        stable = next(value for value in values if value["members"])
        same(("consumer", "range", id), tuple(stable[name] for name in ("protocolType", "protocol", "leader")), "the group")
        same([(id, None, f"consumer-{group}-1", "/127.0.0.1", 6000)], [tuple(one[name] for name in (
            "memberId", "groupInstanceId", "clientId", "clientHost", "sessionTimeout")) for one in stable["members"]], "members")
        same(("consumer", None, None, []), tuple(values[-1][name] for name in ("protocolType", "protocol", "leader", "members")),
             "the group that was left")
        check(values[-1]["generation"] > stable["generation"], "the generation has not grown")

    def formatted(self, formatter, group):
        """(key, value) of what concerns the group, in order."""
        text = self.console("--topic", "__consumer_offsets", "--from-beginning", "--formatter", FORMATTERS + formatter,
                            patience=15_000).decode()
        decoder, at = json.JSONDecoder(), 0
        while at < len(text):
            found, at = decoder.raw_decode(text, at)
            if found["key"]["data"]["group"] == group:
                yield found["key"]["data"], found["value"]


def end(members):
    for member in members:
        member.kill()


def rows(text):
    """Each row of the tables in a text by the names of their columns."""
    names = []
    for line in text.splitlines():
        if re.match(r"(GROUP|TOPIC) ", line):
            names = re.findall(r"\S+(?: \(\S+\))?", line)
        elif names and line.strip():
            yield dict(zip(names, re.findall(r"\S+(?:\s+\(\d+\))?", line)))
