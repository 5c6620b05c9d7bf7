#!/usr/bin/python3
"""show_messages.py - what `gatehouse tail --json` prints, as a small table:  gatehouse tail --json | show_messages.py"""

import json
import sys

HEAD = ("partition", "offset", "device", "via", "message-id", "content-type", "body")


def row(message):
    system = message["systemProperties"]
    return (str(message["partition"]), message["offset"], system["iothub-connection-device-id"],
            message["properties"].get("via", ""), system.get("message-id", ""), system.get("content-type", ""),
            message["body"])


rows = [HEAD, *(row(json.loads(line)) for line in sys.stdin)]
widths = [max(len(cells[i]) for cells in rows) for i in range(len(HEAD))]
for cells in rows:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
