"""Where ottla's answer differs from Apache Kafka's on purpose: (case, what to look at) -> reason, or None."""


def reason(case, expected, found):
    return None
