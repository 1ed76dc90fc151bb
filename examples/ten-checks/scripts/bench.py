"""The median time of a small piece of work, beside the one that the last release stored."""

import json
import pathlib
import statistics
import sys
import time


def work():
    return sorted(str(number) for number in range(500))


times = []
for _ in range(300):
    began = time.perf_counter()
    work()
    times.append(1e6 * (time.perf_counter() - began))
median = statistics.median(times)
stored = json.loads(pathlib.Path(sys.argv[1]).read_text())["median_us"]
print(json.dumps({"median_us": round(median, 3), "ratio": round(median / stored, 4), "samples": len(times)}))
