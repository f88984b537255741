"""The table: a row per operation, a column per client, and one column that names the Kafka tool of each cell."""

ORDER = [
    "api versions", "metadata", "create topic", "create twice",
    "produce none", "produce gzip", "produce snappy", "produce lz4", "produce zstd",
    "consume none", "consume gzip", "consume snappy", "consume lz4", "consume zstd",
    "from offset", "by timestamp", "idempotent", "auto create", "too large",
    "recompress", "append time", "list offsets", "list offsets max", "delete records",
    "describe configs", "broker configs", "alter configs", "legacy alter", "create partitions", "delete topic",
    "log dirs", "quorum", "stop on SIGTERM", "equal replicas", "dump log", "dump index", "dump snapshot", "after restart", "no unknown error",
    "group consume", "group consume 848", "group resume", "group together", "group static", "group list", "group describe",
    "group describe 848", "group offsets", "group alter", "group reset", "group reset by time", "group reset files",
    "group delete", "group delete offsets", "group formatters", "group restart",
]


def text(results, versions):
    cells = {(result["client"], result["operation"]): result["status"] for result in results}
    clients = [name for name in versions if any(client == name for client, _ in cells)]
    others = sorted({client for client, _ in cells} - set(versions))
    operations = [op for op in ORDER if any(found == op for _, found in cells)]
    operations += sorted({op for _, op in cells} - set(ORDER))
    rows = [["operation", *clients, *(["Kafka's tools"] if others else [])]]
    for op in operations:
        tools = [f"{name} {cells[name, op]}" for name in others if (name, op) in cells]
        last = [", ".join(tools) or "."] if others else []
        rows.append([op, *(cells.get((client, op), ".") for client in clients), *last])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    known = [f"{name}: {version}" for name, version in versions.items()]
    return "\n" + "\n".join(lines) + "\n\n" + "\n".join(known) + \
        "\n. = the client has no such call"
