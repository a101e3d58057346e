"""Matches patterns with names as PEFT does, in a process that can be ended; no package is loaded.

One JSON object on stdin: ``patterns`` by key of the config, and ``names``. Each key is printed as
it is taken up, so that whoever waits knows which one did not come to an end, and then what is wrong
with its patterns.
"""

import json
import re
import resource
import sys

MEMORY, CPU_SECONDS = 2**30, 2
# How PEFT puts a pattern between others: targets and exclusions, ranks, layers, modules to save.
FORMS = (r"{}", r"(.*\.)?({})$", r"(?:^|.*?\.){}\.(?P<idx>\d+)\.", r"(^|.*\.){}($|\..*)")


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    asked = json.load(sys.stdin)
    for key, patterns in asked["patterns"].items():
        print(json.dumps({"key": key}), flush=True)
        for pattern in patterns:
            try:
                compiled = [re.compile(form.replace("{}", pattern, 1)) for form in FORMS]
            except (re.error, OverflowError, RecursionError, MemoryError) as error:
                print(json.dumps({"error": f"{pattern[:60]!a}: {error}"[:200]}), flush=True)
                return
            for name in asked["names"]:
                compiled[0].fullmatch(name)
                for each in compiled[1:]:
                    each.match(name)


if __name__ == "__main__":
    main()
