"""Where ottla's answer may differ from Apache Kafka's: (API, label) or a field, and why. What is not here is a fault."""

EPOCH = "the first member of a group finds it in epoch 1, in Kafka 4.4 in epoch 2; only that it rises is promised"
CASES = {
    (18, "plain"): "ottla has feature levels of its own, and none of Kafka's",
    (0, "unknown codec"): "Kafka's UNKNOWN_SERVER_ERROR is a broker's fault; ottla says what is wrong with the batch",
    (0, "gzip that is none"): "validate.records: a compressed body is not decompressed to be checked (decision 15)",
    (0, "transactional without producer"): "there are no transactions yet; Kafka asks for the authorisation first",
    (0, "sequence 0"): "the offset: three records of `gzip that is none` stand before it",
    (0, "sequence 0 again"): "the offset, as above; the time of a duplicate is -1 as that of the first",
    (0, "sequence 3"): "the offset, as above",
    (0, "higher epoch"): "the offset, as above",
    (0, "unknown producer, sequence 5"): "the offset, as above",
    (0, "topic twice"): "each entry of the request is answered; Kafka's answer has one for both",
    (2, "twice"): "each entry of the request is answered; Kafka's answer has one for both",
    (44, "unknown operation"): "Kafka's UNKNOWN_SERVER_ERROR is a broker's fault; the request is what is wrong",
    (44, "empty topic"): "an empty name is an invalid topic, as in every other API",
    (44, "other broker"): "the broker is not registered, and the code says so",
    (32, "broker"): "Kafka's node.id and log.dirs stood in a file here, ottla's on the command line",
    (32, "no keys"): "Kafka has configs (of remote storage, say) that ottla does not have",
    (32, "with synonyms"): "ottla also names the default that the override stands on",
    (60, "controllers"): "an error answer repeats the endpoint type that was asked for",
    (60, "unknown endpoint type"): "an error answer repeats the endpoint type that was asked for",
    (55, "plain"): "the quorum is ottla's own: it has directory ids, and no listener that Kafka could name",
    (75, "unknown"): "operations on a topic that is not there are not told",
    (75, "invalid"): "operations on a topic that is not there are not told",
    (47, "nothing is left"): "a group that has neither members nor offsets is gone at once, in Kafka after some minutes",
    (68, "nothing new"): EPOCH,
    (68, "a full one"): EPOCH,
    (68, "static"): EPOCH,
    (68, "static, back with another id"): EPOCH,
    (68, "a group with offsets alone"): EPOCH,
    (69, "stable"): EPOCH,
    (69, "two"): EPOCH,
    (69, "with operations"): EPOCH,
    (-1, "Produce 2"): "advertised for old librdkafka only, and answered with UNSUPPORTED_VERSION (docs/protocol.md)",
    (-1, "Metadata 1, array of -2"): "a negative length that is not -1 is refused everywhere",
    (-1, "Metadata 12, tag twice"): "tags must ascend, as the protocol says",
    (-1, "client id that is no UTF-8"): "strings are UTF-8, as the protocol says",
}
# Fields that do not matter to a client where the answer is otherwise the same.
FIELDS = {
    "errorMessage": "texts: ottla has one where Kafka has none, or null for an empty one",
    "logStartOffset": "of a refused batch: ottla does not tell it",
    "abortedTransactions": "of a partition with an error: null or empty",
    "configSource": "min.insync.replicas is a dynamic default in a Kafka with ELR",
    "configs": "CreateTopics lists what the broker knows; the configs themselves are compared by DescribeConfigs",
}


def reason(case, expected, found):
    key, _, label = case.split("/", 2)
    if (int(key), label) in CASES:
        return CASES[int(key), label]
    fields = {field for field in differing(expected, found)}
    if fields and fields <= set(FIELDS):
        return "; ".join(FIELDS[field] for field in sorted(fields))
    return None


def differing(one, other, name=""):
    """The names of the innermost fields that differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {*one, *other}:
            if key in FIELDS and key in one and key in other and one[key] != other[key]:
                yield key
            elif key not in one or key not in other:
                yield f"{name}.{key}"
            else:
                yield from differing(one[key], other[key], key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for left, right in zip(one, other):
            yield from differing(left, right, name)
    elif one != other:
        yield name
