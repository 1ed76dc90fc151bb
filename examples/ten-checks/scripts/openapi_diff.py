"""What a client of the released OpenAPI document would miss in the one that is served: JSON on stdout."""

import json
import pathlib
import sys
import urllib.request

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def operations(document):
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def required(operation):
    named = {p["name"] for p in operation.get("parameters", ()) if p.get("required")}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return named | set(body.get("required", ()))


def breaks(name, old, new):
    if new is None:
        yield f"{name} is gone"
        return
    for parameter in sorted(required(new) - required(old)):
        yield f"{name} needs {parameter} now"
    for status in sorted(set(old["responses"]) - set(new["responses"])):
        yield f"{name} answers {status} no more"


released = operations(json.loads(pathlib.Path(sys.argv[1]).read_text()))
with urllib.request.urlopen(sys.argv[2], timeout=10) as answer:  # noqa: S310 # a target of the policy
    served = operations(json.load(answer))
found = [text for name, old in released.items() for text in breaks(name, old, served.get(name))]
added = sorted(set(served) - set(released))
print(json.dumps({"operations": len(released), "breaking": found, "added": added}, indent=2))
