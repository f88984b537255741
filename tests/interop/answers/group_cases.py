"""What is asked of the group coordinator, as in `cases.py`; each case has groups of its own, of one member at most.

A classic member's metadata and assignment are bytes that the broker passes on; only OffsetDelete looks at what they say.
"""

import base64
import struct

#: The coordinator loads, is not known yet, or is another.
NOT_YET = (14, 15, 16)
ALIEN, STRANGER = "no-such-group", "stranger"
RANGE = base64.b64encode(b"metadata").decode()
SHARE = base64.b64encode(b"assignment").decode()


def named(world, label):
    """A name for a group of this case, when it has a coordinator."""
    group = f"{label}-{world.key}-{world.version}"
    while world.ask(10, 3, {"key": group, "keyType": 0})["response"]["errorCode"] in NOT_YET or world.ask(
            15, 0, {"groups": [group]})["response"]["groups"][0]["errorCode"] in NOT_YET:
        world.settle()
    return group


def join_request(group, member="", protocols=(("range", RANGE),), **more):
    return {"groupId": group, "sessionTimeoutMs": 10_000, "rebalanceTimeoutMs": 20_000, "memberId": member,
            "protocolType": "consumer", "protocols": [{"name": name, "metadata": data} for name, data in protocols], **more}


def joined(world, group, **more):
    """The id and the generation of a member that leads the group and has not synced."""
    asked = world.ask(11, 7, join_request(group, **more))["response"]
    if asked["errorCode"] == 79:
        asked = world.ask(11, 7, join_request(group, asked["memberId"], **more))["response"]
    assert asked["errorCode"] == 0, asked
    return asked["memberId"], asked["generationId"]


def stable(world, group, **more):
    """The same when it has its assignment."""
    member, generation = joined(world, group, **more)
    asked = world.ask(14, 3, {"groupId": group, "generationId": generation, "memberId": member, "assignments": [
        {"memberId": member, "assignment": SHARE}]})["response"]
    assert asked["errorCode"] == 0, asked
    return member, generation


def left(world, group):
    """The group has had a member, and has none."""
    member, _ = stable(world, group)
    asked = world.ask(13, 3, {"groupId": group, "members": [{"memberId": member}]})["response"]
    assert asked["errorCode"] == 0, asked


def commit_simply(world, group, topic, partition=0, offset=2):
    asked = world.ask(8, 7, {"groupId": group, "generationIdOrMemberEpoch": -1, "memberId": "", "topics": [
        {"name": topic, "partitions": [{"partitionIndex": partition, "committedOffset": offset, "committedMetadata": "m"}]}]})
    assert asked["response"]["topics"][0]["partitions"][0]["errorCode"] == 0, asked


def find_coordinator(world, v):
    group = named(world, "found")

    def one(*keys, kind=0):
        typed = {"keyType": kind} if v >= 1 else {}
        return {**typed, "coordinatorKeys": list(keys)} if v >= 4 else {**typed, "key": keys[0]}

    yield "a group", one(group)
    yield "empty group id", one("")
    if v >= 1:
        yield "unknown type", one(group, kind=9)
    if v >= 4:
        yield "two", one(group, "another")
        yield "twice", one(group, group)
        yield "none", one()


def join_group(world, v):
    group = named(world, "joined")
    yield "first", join_request(group)
    member = world.last["response"]["memberId"]
    if v >= 4:
        yield "with its id", join_request(group, member)
    yield "again", join_request(group, member)
    yield "again, with another protocol", join_request(group, member, (("roundrobin", RANGE), ("range", RANGE)))
    yield "unknown member", join_request(group, STRANGER)
    yield "no common protocol", join_request(group, protocols=(("funny", RANGE),))
    yield "other protocol type", join_request(group, protocolType="connect")
    yield "no protocols", join_request(named(world, "none"), protocols=())
    yield "empty protocol type", join_request(named(world, "typeless"), protocolType="")
    yield "member of an unknown group", join_request(named(world, "unknown"), STRANGER)
    yield "empty group id", join_request("")
    yield "session too short", join_request(named(world, "short"), sessionTimeoutMs=100)
    yield "session too long", join_request(named(world, "long"), sessionTimeoutMs=10_000_000)
    gone = named(world, "gone")
    left(world, gone)
    yield "a group that was left", join_request(gone)
    yield "a group that was left, another protocol type", join_request(gone, protocolType="connect")
    if v >= 5:
        static = named(world, "static")
        yield "static", join_request(static, groupInstanceId="one")
        old = world.last["response"]["memberId"]
        world.ask(14, 3, {"groupId": static, "generationId": 1, "memberId": old, "assignments": [
            {"memberId": old, "assignment": SHARE}]})
        yield "static again", join_request(static, groupInstanceId="one")
        yield "static, the old id", join_request(static, old, groupInstanceId="one")
        yield "static, a stranger's id", join_request(static, STRANGER, groupInstanceId="one")
        yield "another instance with an id", join_request(static, STRANGER, groupInstanceId="two")
        yield "bad instance id", join_request(named(world, "bad"), groupInstanceId="not valid")


def sync_group(world, v):
    group = named(world, "synced")
    member, generation = joined(world, group)

    def one(member=member, generation=generation, group=group, assigned=True, **more):
        typed = {"protocolType": "consumer", "protocolName": "range"} if v >= 5 else {}
        assignments = [{"memberId": member, "assignment": SHARE}] if assigned else []
        return {"groupId": group, "generationId": generation, "memberId": member, "assignments": assignments, **typed, **more}

    yield "unknown group", one(group=ALIEN)
    yield "empty group id", one(group="")
    yield "unknown member", one(member=STRANGER)
    yield "wrong generation", one(generation=generation + 1)
    if v >= 5:
        yield "other protocol", one(protocolName="funny")
        yield "other protocol type", one(protocolType="connect")
    yield "the leader", one()
    yield "again", one(assigned=False)
    other = named(world, "unassigned")
    member, generation = joined(world, other)
    yield "without an assignment", one(member, generation, other, assigned=False)
    if v >= 3:
        static = named(world, "static")
        member, generation = joined(world, static, groupInstanceId="one")
        yield "static", one(member, generation, static, groupInstanceId="one")
        yield "static, a stranger's id", one(STRANGER, generation, static, groupInstanceId="one")
        yield "unknown instance", one(member, generation, static, groupInstanceId="two")


def heartbeat(world, v):
    group = named(world, "beats")
    member, generation = joined(world, group)

    def one(member=member, generation=generation, group=group, **more):
        return {"groupId": group, "generationId": generation, "memberId": member, **more}

    yield "before the sync", one()
    world.ask(14, 3, {"groupId": group, "generationId": generation, "memberId": member, "assignments": [
        {"memberId": member, "assignment": SHARE}]})
    yield "stable", one()
    yield "wrong generation", one(generation=generation + 1)
    yield "unknown member", one(member=STRANGER)
    yield "unknown group", one(group=ALIEN)
    yield "empty group id", one(group="")
    gone = named(world, "gone")
    left(world, gone)
    yield "a group that was left", one(group=gone)
    if v >= 3:
        static = named(world, "static")
        member, generation = stable(world, static, groupInstanceId="one")
        yield "static", one(member, generation, static, groupInstanceId="one")
        yield "static, a stranger's id", one(STRANGER, generation, static, groupInstanceId="one")
        yield "unknown instance", one(member, generation, static, groupInstanceId="two")


def leave_group(world, v):
    group = named(world, "left")
    member, _ = stable(world, group)

    def one(*members, group=group, instance=None):
        if v >= 3:
            more = {"groupInstanceId": instance} if instance else {}
            return {"groupId": group, "members": [{"memberId": id, **more} for id in members]}
        return {"groupId": group, "memberId": members[0]}

    yield "unknown group", one(member, group=ALIEN)
    yield "empty group id", one(member, group="")
    yield "unknown member", one(STRANGER)
    if v >= 3:
        yield "nobody", one()
        yield "member and stranger", one(member, STRANGER)
    else:
        yield "member", one(member)
    yield "member again", one(member)
    if v >= 3:
        static = named(world, "static")
        member, _ = stable(world, static, groupInstanceId="one")
        yield "static, a stranger's id", one(STRANGER, group=static, instance="one")
        yield "unknown instance", one("", group=static, instance="two")
        yield "static without its id", one("", group=static, instance="one")


def commit(world, v):
    topic = world.topic("committed")

    def one(group, member="", generation=-1, topics=None, offset=2, index=0, metadata="m", name=topic, **more):
        if topics is None:
            topics = [{"name": name, "partitions": [
                {"partitionIndex": index, "committedOffset": offset, "committedMetadata": metadata}]}]
        return {"groupId": group, "memberId": member, "generationIdOrMemberEpoch": generation, "topics": topics, **more}

    simple = named(world, "simple")
    yield "without members", one(simple)
    yield "again, lower", one(simple, offset=1)
    yield "beyond the end", one(simple, offset=1000)
    yield "null metadata", one(simple, metadata=None)
    yield "longest metadata", one(simple, metadata="x" * 4096)
    yield "metadata too long", one(simple, metadata="x" * 4097)
    yield "negative offset", one(simple, offset=-7)
    yield "unknown partition", one(simple, index=9)
    yield "unknown topic", one(simple, name="no-such-topic")
    yield "no topics", one(simple, topics=[])
    yield "empty group id", one("")
    yield "generation of an unknown group", one(named(world, "unknown"), STRANGER, 5)
    yield "member of an unknown group", one(named(world, "unknown"), STRANGER)
    yield "generation of a group without members", one(simple, STRANGER, 5)
    if v <= 4:
        yield "with a retention", one(named(world, "short"), retentionTimeMs=1000)
    if v >= 6:
        known = {"partitionIndex": 0, "committedOffset": 3, "committedLeaderEpoch": 0, "committedMetadata": ""}
        yield "with a leader epoch", one(simple, topics=[{"name": topic, "partitions": [known]}])
    group = named(world, "member")
    member, generation = joined(world, group)
    yield "before the sync", one(group, member, generation)
    world.ask(14, 3, {"groupId": group, "generationId": generation, "memberId": member, "assignments": [
        {"memberId": member, "assignment": SHARE}]})
    yield "a member", one(group, member, generation)
    yield "wrong generation", one(group, member, generation + 1)
    yield "unknown member", one(group, STRANGER, generation)
    yield "nobody, of a group with members", one(group)
    if v >= 7:
        static = named(world, "static")
        member, generation = stable(world, static, groupInstanceId="one")
        yield "static", one(static, member, generation, groupInstanceId="one")
        yield "static, a stranger's id", one(static, STRANGER, generation, groupInstanceId="one")


def fetch(world, v):
    topic, group = world.topic("fetched", partitions=2), named(world, "fetched")
    commit_simply(world, group, topic)

    def one(*groups, topics=((topic, (0, 1)),), stable=False, **more):
        asked = None if topics is None else [{"name": name, "partitionIndexes": list(indexes)} for name, indexes in topics]
        needed = {"requireStable": stable} if v >= 7 else {}
        if v >= 8:
            return {"groups": [{"groupId": name, "topics": asked, **more} for name in groups], **needed}
        return {"groupId": groups[0], "topics": asked, **needed}

    yield "committed, and not", one(group)
    yield "unknown group", one(ALIEN)
    yield "unknown topic", one(group, topics=[("no-such-topic", [0])])
    yield "unknown partition", one(group, topics=[(topic, [9])])
    yield "no topics", one(group, topics=[])
    yield "empty group id", one("")
    if v >= 2:
        yield "all", one(group, topics=None)
        yield "all of an unknown group", one(ALIEN, topics=None)
    if v >= 7:
        yield "stable", one(group, stable=True)
    if v >= 8:
        yield "two groups", one(group, ALIEN)
        yield "no groups", one()
    if v >= 9:
        yield "with a member", one(group, memberId=STRANGER, memberEpoch=1)
        classic = named(world, "classic")
        member, generation = stable(world, classic)
        yield "with a classic member", one(classic, memberId=member, memberEpoch=generation)
        yield "with a classic member's wrong epoch", one(classic, memberId=member, memberEpoch=generation + 4)
        yield "with a stranger to members", one(classic, memberId=STRANGER, memberEpoch=generation)


def subscription(topic):
    """A consumer's metadata of version 0 that names one topic."""
    return base64.b64encode(struct.pack(">hih", 0, 1, len(topic)) + topic.encode() + struct.pack(">i", 0)).decode()


def delete_offsets(world, v):
    topic, group = world.topic("deleted", partitions=2), named(world, "deleted")
    commit_simply(world, group, topic)

    def one(group, name=topic, indexes=(0,)):
        return {"groupId": group, "topics": [{"name": name, "partitions": [{"partitionIndex": index} for index in indexes]}]}

    yield "committed, and not", one(group, indexes=(0, 1))
    yield "nothing is left", one(group)
    yield "unknown group", one(ALIEN)
    yield "empty group id", one("")
    again = named(world, "again")
    commit_simply(world, again, topic)
    yield "unknown topic", one(again, "no-such-topic")
    yield "unknown partition", one(again, indexes=(9,))
    yield "no topics", {"groupId": again, "topics": []}
    live = named(world, "live")
    commit_simply(world, live, topic)
    stable(world, live, protocols=(("range", subscription(topic)),))
    yield "subscribed", one(live)
    other = named(world, "other")
    commit_simply(world, other, topic)
    stable(world, other, protocols=(("range", subscription("another")),))
    yield "of a topic that nobody subscribes", one(other)
    connect = named(world, "connect")
    commit_simply(world, connect, topic)
    stable(world, connect, protocolType="connect")
    yield "of a live group that does not consume", one(connect)


def list_groups(world, v):
    idle, busy, simple = (named(world, f"listed-{label}") for label in ("idle", "busy", "simple"))
    left(world, idle)
    stable(world, busy)
    commit_simply(world, simple, world.topic("listed"))
    yield "all", {}
    if v >= 4:
        for states in (["Stable"], ["Empty"], ["empty"], ["Stable", "Empty"], ["Dead"], ["Funny"], [""]):
            yield f"states {states}", {"statesFilter": states}
    if v >= 5:
        for types in (["classic"], ["Classic"], ["consumer"], ["funny"]):
            yield f"types {types}", {"typesFilter": types}
        yield "stable of the classic", {"statesFilter": ["Stable"], "typesFilter": ["classic"]}


def describe_groups(world, v):
    idle, busy, waiting, simple = (named(world, label) for label in ("idle", "busy", "waiting", "simple"))
    left(world, idle)
    stable(world, busy)
    joined(world, waiting)
    commit_simply(world, simple, world.topic("described"))
    yield "without members", {"groups": [idle]}
    yield "stable", {"groups": [busy]}
    yield "before the sync", {"groups": [waiting]}
    yield "with offsets alone", {"groups": [simple]}
    yield "unknown", {"groups": [ALIEN]}
    yield "empty group id", {"groups": [""]}
    yield "two", {"groups": [busy, ALIEN]}
    yield "none", {"groups": []}
    if v >= 3:
        yield "with operations", {"groups": [busy], "includeAuthorizedOperations": True}
    if v >= 4:
        static = named(world, "static")
        stable(world, static, groupInstanceId="one")
        yield "static", {"groups": [static]}
    new = named(world, "new")
    new_member(world, new, world.topic("described-new"))
    yield "of the consumer protocol", {"groups": [new]}


def delete_groups(world, v):
    idle, busy, simple = (named(world, label) for label in ("idle", "busy", "simple"))
    left(world, idle)
    stable(world, busy)
    commit_simply(world, simple, world.topic("deleted-groups"))
    yield "with a member", {"groupsNames": [busy]}
    yield "without members", {"groupsNames": [idle]}
    yield "gone", {"groupsNames": [idle]}
    yield "with offsets", {"groupsNames": [simple]}
    yield "unknown", {"groupsNames": [ALIEN]}
    yield "empty group id", {"groupsNames": [""]}
    yield "two", {"groupsNames": [busy, ALIEN]}
    yield "none", {"groupsNames": []}


MEMBER = "bWVtYmVyLW9mLWdyb3Vwcw"
OTHER = "b3RoZXItb2YtdGhlIGdyb3"


def beat(group, topics=None, member=MEMBER, epoch=0, **more):
    return {"groupId": group, "memberId": member, "memberEpoch": epoch, "rebalanceTimeoutMs": 10_000,
            "subscribedTopicNames": topics, "topicPartitions": [], **more}


def new_member(world, group, topic):
    """The epoch of a member of the consumer protocol that owns what it is to own."""
    epoch, owned = 0, []
    for _ in range(20):
        asked = world.ask(68, 1, beat(group, [topic], epoch=epoch, topicPartitions=owned if epoch else []))["response"]
        assert asked["errorCode"] == 0, asked
        epoch = asked["memberEpoch"]
        if asked["assignment"] and asked["assignment"]["topicPartitions"]:
            owned = asked["assignment"]["topicPartitions"]
        if owned:
            break
        world.settle()
    asked = world.ask(68, 1, beat(group, None, epoch=epoch, rebalanceTimeoutMs=-1, topicPartitions=owned))["response"]
    return asked["memberEpoch"], owned


def consumer_heartbeat(world, v):
    topic, group = world.topic("new", partitions=2), named(world, "new")
    own = {"member": MEMBER} if v else {"member": ""}
    yield "no topics at the join", beat(group, None, **own)
    yield "no rebalance timeout at the join", beat(group, [topic], **own, rebalanceTimeoutMs=-1)
    yield "something owned at the join", beat(group, [topic], **own, topicPartitions=[
        {"topicId": world.id(topic), "partitions": [0]}])
    yield "null owned at the join", beat(group, [topic], **own, topicPartitions=None)
    yield "unknown assignor", beat(group, [topic], **own, serverAssignor="funny")
    yield "empty group id", beat("", [topic], **own)
    yield "empty instance id", beat(group, [topic], **own, instanceId="")
    yield "empty rack", beat(group, [topic], **own, rackId="")
    yield "epoch of an unknown group", beat(named(world, "unknown"), None, epoch=3)
    if v:
        yield "no member id", beat(group, [topic], member="")
        yield "no valid regular expression", beat(named(world, "regex"), None, subscribedTopicRegex="(")
        yield "empty regular expression", beat(named(world, "regex"), None, subscribedTopicRegex="")
    epoch, owned = new_member(world, group, topic)
    beats = {"rebalanceTimeoutMs": -1, "topicPartitions": None}
    yield "nothing new", beat(group, None, epoch=epoch, **beats)
    yield "a full one", beat(group, [topic], epoch=epoch, topicPartitions=owned)
    yield "an epoch ahead", beat(group, None, epoch=epoch + 5, **beats)
    yield "unknown member", beat(group, None, member=OTHER, epoch=epoch, **beats)
    yield "an epoch that does not exist", beat(group, None, epoch=-9, **beats)
    yield "a static leave without a name", beat(group, None, epoch=-2, **beats)
    yield "leaves", beat(group, None, epoch=-1, **beats)
    yield "leaves again", beat(group, None, epoch=-1, **beats)
    yield "after it has left", beat(group, None, epoch=epoch, **beats)
    static = named(world, "static")
    yield "static", beat(static, [topic], instanceId="one")
    yield "static, in use", beat(static, [topic], member=OTHER, instanceId="one")
    yield "static, a stranger's id", beat(static, None, member=OTHER, epoch=1, instanceId="one", **beats)
    yield "static leave", beat(static, None, epoch=-2, instanceId="one", **beats)
    yield "static, back with another id", beat(static, [topic], member=OTHER, instanceId="one")
    classic = named(world, "classic")
    commit_simply(world, classic, topic)
    yield "a group with offsets alone", beat(classic, [topic])


def consumer_describe(world, v):
    topic, group = world.topic("described", partitions=2), named(world, "described")
    new_member(world, group, topic)
    classic, simple = named(world, "classic"), named(world, "simple")
    stable(world, classic)
    commit_simply(world, simple, topic)
    yield "stable", {"groupIds": [group]}
    yield "classic", {"groupIds": [classic]}
    yield "with offsets alone", {"groupIds": [simple]}
    yield "unknown", {"groupIds": [ALIEN]}
    yield "empty group id", {"groupIds": [""]}
    yield "two", {"groupIds": [group, ALIEN]}
    yield "none", {"groupIds": []}
    yield "with operations", {"groupIds": [group], "includeAuthorizedOperations": True}


CASES = {10: find_coordinator, 11: join_group, 14: sync_group, 12: heartbeat, 13: leave_group, 8: commit, 9: fetch,
         47: delete_offsets, 16: list_groups, 15: describe_groups, 42: delete_groups, 68: consumer_heartbeat,
         69: consumer_describe}
