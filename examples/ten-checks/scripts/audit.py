"""Pinned requirements against a list of advisories: JSON on stdout, exit code 1 when there is something to do."""

import json
import pathlib
import re
import sys


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text))


requirements, advisories = sys.argv[1:]
lines = [line.split("#")[0].strip() for line in pathlib.Path(requirements).read_text().splitlines()]
known = json.loads(pathlib.Path(advisories).read_text())
pinned = dict(line.split("==") for line in lines if "==" in line)
found = {
    "checked": len(pinned),
    "advisories": len(known),
    "unpinned": [line for line in lines if line and "==" not in line],
    "vulnerable": [
        f"{a['package']} {pinned[a['package']]}: {a['id']}"
        for a in known
        if a["package"] in pinned and version(pinned[a["package"]]) < version(a["fixed_in"])
    ],
}
print(json.dumps(found, indent=2))
sys.exit(bool(found["unpinned"] or found["vulnerable"]))
