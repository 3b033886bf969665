"""Runs in circus's environment: for each line on stdin one command on a kept connection; prints the answer."""

import json
import sys
import time

from circus.client import CircusClient  # type: ignore[import-not-found]

client = CircusClient(endpoint=sys.argv[1], timeout=15)
for line in sys.stdin:
    command, *name = line.split()
    begin = time.perf_counter()
    answer = client.send_message(command, **({"name": name[0]} if name else {}))
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - begin, "answer": answer}) + "\n")
    sys.stdout.flush()
