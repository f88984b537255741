"""The operations on groups, as lib/cells.py has those on topics: what one client commits another finds."""

import itertools
import time

import records
from cells import check, eventually, refusal, same
from members import Member

#: Where the first reader of a topic of 400 records stops.
MIDDLE, END = 137, 400
count = itertools.count(1)


def joined(suite, client, group, topic, assignor="range", protocol="classic", **more):
    """A new process of the client that is a member of the group."""
    member = Member(f"{client.name}-member-{next(count)}", client.another(), suite.work)
    member.join(suite.broker.bootstrap, group, topic, protocol, assignor, **more)
    return member


def followed(member, kind):
    member.follow()
    return member.count(kind)


def owned(*members):
    """What each owns now."""
    for member in members:
        member.follow()
    return [sorted(member.owned) for member in members]


def own_assignor(client):
    """kafkajs knows no other."""
    return "roundrobin" if client.name == "kafkajs" else "range"


def read_part(suite, reader, group, topic, wanted, first, until):
    """The reader, alone in the group, reads from what is committed, and commits what it has read."""
    member = joined(suite, reader, group, topic, limit=until - first, assignor=own_assignor(reader))
    try:
        eventually(lambda: followed(member, "record"), until - first, f"records that {reader.name} has read", seconds=20)
        judge = suite.judge(reader)
        eventually(lambda: judge.ask("group_offsets", group=group)["offsets"], {"0": until}, "committed", seconds=10)
        member.leave()
    finally:
        member.kill()
    got = sorted((event for event in member.events if event["e"] == "record"), key=lambda record: record["o"])
    expected = [by_name(one) if reader.name == "kafkajs" else one for one in wanted[first:until]]
    wrong = records.difference(expected, got, first_offset=first)
    check(wrong is None, f"{topic} read by {reader.name}: {wrong}")
    eventually(lambda: suite.franz.ask("describe_group", group=group)["state"], "Empty", "the group that was left")


def by_name(record):
    """As kafkajs has them, which gathers the values of a header's name."""
    names = list(dict.fromkeys(name for name, _ in record["h"]))
    return {**record, "h": sorted(record["h"], key=lambda pair: names.index(pair[0]))}


def group_consume(suite, client, _):
    """The client reads the first part, another the rest."""
    topic, wanted = suite.reference[suite.source(client), "lz4"]
    read_part(suite, client, f"{client.name}-first", topic, wanted, 0, MIDDLE)
    read_part(suite, suite.judge(client), f"{client.name}-first", topic, wanted, MIDDLE, END)


def group_resume(suite, client, _):
    """Another client reads the first part, and this one goes on."""
    topic, wanted = suite.reference[suite.source(client), "zstd"]
    read_part(suite, suite.judge(client), f"{client.name}-second", topic, wanted, 0, MIDDLE)
    read_part(suite, client, f"{client.name}-second", topic, wanted, MIDDLE, END)


def group_together(suite, client, _):
    """Clients of two makes share one group's partitions; whoever leads it assigns for both."""
    topic, judge, group = f"{client.name}-shared", suite.judge(client), f"{client.name}-together"
    suite.create(judge, topic, 4)
    wanted = [records.make(f"{topic}-{partition}", 40) for partition in range(4)]
    members = [joined(suite, client, group, topic), joined(suite, judge, group, topic)]
    try:
        eventually(lambda: sorted(sum(owned(*members), [])) == [0, 1, 2, 3] and all(owned(*members)), True,
                   "both own something", seconds=20)
        for partition in range(4):
            suite.produce(judge, topic, partition, wanted[partition], "none", "all", "all")
        eventually(lambda: sum(followed(member, "record") for member in members), 160, "records read", seconds=10)
        eventually(lambda: judge.ask("group_offsets", group=group)["offsets"], {str(p): 40 for p in range(4)}, "committed")
        for member in members:
            member.leave()
    finally:
        for member in members:
            member.kill()
    got = {(event["p"], event["o"]): event for member in members for event in member.events if event["e"] == "record"}
    for partition in range(4):
        wrong = records.difference(wanted[partition], [got[partition, offset] for offset in range(40)])
        check(wrong is None, f"{topic}-{partition}: {wrong}")
    check(all(member.count("record") for member in members), "one has read nothing")


def group_static(suite, client, _):
    """A member with a name of its own that goes and comes back keeps its partitions, and the others hear nothing of it."""
    topic, judge, group = f"{client.name}-static", suite.judge(client), f"{client.name}-static"
    suite.create(judge, topic, 4)
    # A session in which a JVM has the time to start.
    named = {"instance": "one", "session": 30_000}
    members = [joined(suite, client, group, topic, **named), joined(suite, judge, group, topic)]
    try:
        eventually(lambda: sorted(map(len, owned(*members))), [2, 2], "partitions", seconds=20)
        [before, others], events = owned(*members), len(members[1].events)
        members[0].kill()
        members.append(joined(suite, client, group, topic, **named))
        eventually(lambda: owned(members[2]), [before], "what it has after its return", seconds=25)
        time.sleep(1)
        same([others, before], owned(*members[1:]), "partitions")
        same([], [event["e"] for event in members[1].events[events:]], "what the other has heard")
        for member in members[1:]:
            member.leave()
    finally:
        for member in members:
            member.kill()


def group_restart(suite, client, _):
    """What was committed before the restart is there after it."""
    for part in ("first", "second"):
        found = lambda: suite.judge(client).ask("group_offsets", group=f"{client.name}-{part}")["offsets"]
        eventually(found, {"0": END}, f"what {client.name}'s group had committed")


def simple_group(suite, client, what, offsets):
    """A group without members, which has only offsets; its topic."""
    topic, group = f"{client.name}-{what}", f"{client.name}-{what}"
    suite.create(suite.judge(client), topic, 3)
    suite.judge(client).ask("alter_group_offsets", group=group, topic=topic, offsets=offsets)
    return group


def group_list(suite, client, _):
    group = simple_group(suite, client, "listed", {"0": 1})
    groups = client.ask("list_groups")["groups"]
    check(group in groups, f"{group} is not among {sorted(groups)}")
    check(groups[group].lower() in ("", "empty"), f"the state of {group} is {groups[group]}")


def group_describe(suite, client, _):
    topic, judge = f"{client.name}-watched", suite.judge(client)
    suite.create(judge, topic, 3)
    members = [joined(suite, judge, topic, topic), joined(suite, judge, topic, topic)]
    try:
        eventually(lambda: sorted(owned(*members)), [[0, 1], [2]], "partitions", seconds=20)
        found = client.ask("describe_group", group=topic)
        same(("stable", "range", [[0, 1], [2]]), (found["state"].lower(), found["assignor"], sorted(found["partitions"])),
             "the group")
        for member in members:
            member.leave()
    finally:
        for member in members:
            member.kill()
    found = client.ask("describe_group", group=topic)
    same(("empty", []), (found["state"].lower(), found["partitions"]), "the group that was left")


def group_offsets(suite, client, _):
    group = simple_group(suite, client, "fetched", {"0": 5, "2": 7})
    same({"0": 5, "2": 7}, client.ask("group_offsets", group=group)["offsets"], "offsets")


def group_alter(suite, client, _):
    group = simple_group(suite, client, "altered-offsets", {"0": 5, "2": 7})
    client.ask("alter_group_offsets", group=group, topic=group, offsets={"0": 3, "1": 4})
    same({"0": 3, "1": 4, "2": 7}, suite.judge(client).ask("group_offsets", group=group)["offsets"], "offsets")


def group_delete(suite, client, _):
    """A group with members is refused; an empty one goes, and is not there to be deleted again."""
    judge, group = suite.judge(client), simple_group(suite, client, "deleted-group", {"0": 5})
    member = joined(suite, judge, group, group)
    try:
        eventually(lambda: owned(member), [[0, 1, 2]], "partitions", seconds=20)
        refusal(lambda: client.ask("delete_group", group=group), r"(?i)non.?empty|not.?empty|group_delete_failed|DeleteGroups")
        member.leave()
    finally:
        member.kill()
    client.ask("delete_group", group=group)
    check(group not in judge.ask("list_groups")["groups"], "the group is still listed")
    same({}, judge.ask("group_offsets", group=group)["offsets"], "offsets")


def group_delete_offsets(suite, client, _):
    group = simple_group(suite, client, "deleted-offsets", {"0": 5, "1": 6})
    client.ask("delete_group_offsets", group=group, topic=group, partition=0)
    same({"1": 6}, suite.judge(client).ask("group_offsets", group=group)["offsets"], "offsets")


OPERATIONS = {
    "group consume": group_consume,
    "group resume": group_resume,
    "group together": group_together,
    "group static": group_static,
    "group list": group_list,
    "group describe": group_describe,
    "group offsets": group_offsets,
    "group alter": group_alter,
    "group delete": group_delete,
    "group delete offsets": group_delete_offsets,
}
