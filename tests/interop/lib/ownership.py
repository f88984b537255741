"""What a group promises, checked against what its members have said (lib/members.py) and what others have seen.

- Each record that was produced is processed at least once.
- No partition has two owners at once in one generation. An owner that the coordinator has given up hears of it late: it
  is excused if it says that it lost the partition, or if a classic group had moved on to a generation that it is not in.
  So is one whose partition a client claims that had lost it before, where that is known of the client.
- A committed offset never goes back, and is never below what the coordinator has acknowledged before.
- Whoever gets a partition begins where the last acknowledged commit is, or behind it. What somebody was told before is
  acknowledged too: not every client says so.
"""

from dataclasses import dataclass, field


@dataclass
class History:
    """What one member said, and when it ended if nobody heard it say so."""
    name: str
    events: list
    ended: int = None
    #: Whether it goes on claiming what it has lost (members.CLAIMANTS), so that its leader may take that away from somebody.
    claims_lost: bool = False


@dataclass
class Interval:
    """A partition as one member had it: from being told to giving it back."""
    owner: str
    partition: int
    begin: int
    first_generation: int
    last_generation: int
    #: Whether the member may have got it by claiming what it had lost.
    is_claimed: bool = False
    end: int = None
    how: str = "still owned"
    offsets: list = field(default_factory=list)

    def overlaps(self, other):
        return self.begin < other.end and other.begin < self.end


def violations(histories, produced, observed, protocol):
    """All of them as text. `produced` is {(partition, offset): value}, `observed` what others were told is committed:
    [(asked at, told at, {partition: offset})]."""
    intervals = [interval for history in histories for interval in intervals_of(history)]
    return [*missing(histories, produced), *shared(intervals, protocol), *backward(observed), *forgotten(histories, observed),
            *rewound(histories, observed, intervals)]


def intervals_of(history):
    """A claim of what is owned already only says the generation anew. So does what is given back: it was owned until then."""
    open_, closed, claimed = {}, [], set()
    for event in history.events:
        kind, at = event["e"], event["at"]
        if kind == "assigned":
            for interval in open_.values():
                interval.last_generation = event.get("gen")
            for partition in set(event["p"]) - set(open_):
                open_[partition] = Interval(history.name, partition, at, event.get("gen"), event.get("gen"), partition in claimed)
            claimed = set()
        elif kind in ("revoked", "lost"):
            for partition in set(event["p"]) & set(open_):
                interval = open_.pop(partition)
                if kind == "revoked" and None not in (interval.last_generation, event.get("gen")):
                    interval.last_generation = max(interval.last_generation, event["gen"])
                closed.append(end(interval, at, kind))
            if kind == "lost" and history.claims_lost:
                claimed |= set(event["p"])
        elif kind == "record" and event["p"] in open_:
            open_[event["p"]].offsets.append(event["o"])
        elif kind == "left":
            closed += [end(open_.pop(partition), at, "left") for partition in list(open_)]
    last = history.ended or max((event["at"] for event in history.events), default=0)
    return closed + [end(interval, last, "died" if history.ended else "still owned") for interval in open_.values()]


def end(interval, at, how):
    interval.end, interval.how = at, how
    return interval


def missing(histories, produced):
    processed = {}
    for history in histories:
        for event in history.events:
            if event["e"] == "record":
                processed.setdefault((event["p"], event["o"]), set()).add(event["v"])
    never = sorted(set(produced) - set(processed))
    if never:
        yield f"{len(never)} of {len(produced)} records were never processed, the first: partition and offset {never[:5]}"
    for at in sorted(set(produced) & set(processed)):
        if processed[at] != {produced[at]}:
            yield f"partition and offset {at} was read as {processed[at]}, produced was {produced[at]!r}"


def shared(intervals, protocol):
    ordered = sorted(intervals, key=lambda one: (one.partition, one.begin))
    for place, older in enumerate(ordered):
        for newer in ordered[place + 1:]:
            if newer.partition != older.partition or newer.begin >= older.end:
                break
            if older.owner != newer.owner and not is_excused(older, newer, protocol):
                yield (f"partition {older.partition} is owned by {newer.owner} (generation {newer.first_generation}) "
                       f"{(older.end - newer.begin) / 1e6:.1f} ms before {older.owner} (generations {older.first_generation}-"
                       f"{older.last_generation}) {older.how} it")


def is_excused(older, newer, protocol):
    if older.how == "lost" or newer.is_claimed:
        return True
    known = older.last_generation is not None and newer.first_generation is not None
    return protocol == "classic" and known and older.last_generation < newer.first_generation


def backward(observed):
    highest = {}
    for _, _, offsets in observed:
        for partition, offset in offsets.items():
            if offset < highest.get(partition, -1):
                yield f"the committed offset of partition {partition} went from {highest[partition]} back to {offset}"
            highest[partition] = offset


def forgotten(histories, observed):
    """What was acknowledged before somebody asked is what he is told, or more."""
    acknowledged = sorted(commits(histories))
    place, due = 0, {}
    for asked, _, offsets in observed:
        while place < len(acknowledged) and acknowledged[place][0] < asked:
            _, partition, offset = acknowledged[place]
            due[partition] = max(offset, due.get(partition, -1))
            place += 1
        for partition, offset in due.items():
            if partition in offsets and offsets[partition] < offset:
                yield f"the commit of {offset} in partition {partition} was acknowledged, and {offsets[partition]} is found"


def rewound(histories, observed, intervals):
    acknowledged = [*commits(histories), *((told, partition, offset) for _, told, offsets in observed
                                           for partition, offset in offsets.items())]
    for interval in intervals:
        due = max((offset for at, partition, offset in acknowledged
                   if partition == interval.partition and at < interval.begin), default=0)
        if interval.offsets and interval.offsets[0] < due:
            yield (f"{interval.owner} began partition {interval.partition} at {interval.offsets[0]}, though {due} was "
                   "acknowledged as committed before")


def commits(histories):
    """(at, partition, offset) of what members were told is committed."""
    return [(event["at"], int(partition), offset) for history in histories for event in history.events
            if event["e"] == "committed" for partition, offset in event["offsets"].items()]
