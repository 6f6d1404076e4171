#!/usr/bin/env python3
"""Owns what an Autobahn|Testsuite run must contain and how it is judged.

Two subcommands, both used by scripts/conformance.sh (standard library only):

  report.py spec URL OUTDIR SELECTOR...   print the spec for the fuzzing client
  report.py report OUTDIR SELECTOR...     judge the index.json found in OUTDIR

`report` prints a table and every failed case, and ends with the line
'N passed, N failed' (', N skipped' follows when the server did not implement an
extension that a case is about). Exit codes: 0 all well; 1 a case failed, was
not run, or nothing passed; 2 wrong arguments.
"""

import json
import os
import re
import sys

# The name under which the fuzzing client files the results of the one server.
AGENT = "testee"

# How many cases each (sub)group has in the pinned release of the suite: case
# "6.2.3" is the third of "6.2". Written down here, and not asked of the suite,
# so that a suite that silently runs fewer cases is noticed.
CASE_COUNTS = {
    "1.1": 8, "1.2": 8,
    "2": 11,
    "3": 7,
    "4.1": 5, "4.2": 5,
    "5": 20,
    "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4,
    "6.8": 2, "6.9": 4, "6.10": 3, "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10,
    "6.15": 1, "6.16": 3, "6.17": 5, "6.18": 5, "6.19": 5, "6.20": 7, "6.21": 8,
    "6.22": 34, "6.23": 7,
    "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2,
    "9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6,
    "10.1": 1,
    "12.1": 18, "12.2": 18, "12.3": 18, "12.4": 18, "12.5": 18,
    "13.1": 18, "13.2": 18, "13.3": 18, "13.4": 18, "13.5": 18, "13.6": 18, "13.7": 18,
}

GROUP_TITLES = {
    1: "Framing", 2: "Pings and pongs", 3: "Reserved bits", 4: "Opcodes",
    5: "Fragmentation", 6: "UTF-8 handling", 7: "Close handling",
    9: "Limits and performance", 10: "Auto-fragmentation",
    12: "Compression, payloads", 13: "Compression, parameters",
}

# Every verdict that is not listed here is a failure, so that one we do not know
# can never pass: FAILED, WRONG CODE, UNCLEAN, FAILED BY CLIENT (the server left
# it to the client to drop the connection), and whatever else may come.
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")
COLUMNS = (("OK", "OK"), ("NON-STRICT", "NONSTR"), ("INFORMATIONAL", "INFO"),
           ("UNIMPLEMENTED", "UNIMPL"), ("FAILED", "FAILED"))


def sort_key(case_id):
    return [int(part) for part in case_id.split(".")]


def all_case_ids():
    return ["%s.%d" % (group, number)
            for group, count in CASE_COUNTS.items()
            for number in range(1, count + 1)]


def expand(selectors):
    """The case ids that the suite itself takes from these selectors."""
    known = all_case_ids()
    wanted = set()
    for selector in selectors:
        if not re.match(r"^[0-9.*]+$", selector):
            usage_error("not a case selector: %r (examples: 1.*  6.4.*  7.7.1)" % selector)
        if "*" in selector:
            # Same rule as the suite: anchored at the start only.
            pattern = re.compile(selector.replace(".", r"\.").replace("*", ".*"))
            hits = [case_id for case_id in known if pattern.match(case_id)]
        else:
            hits = [case_id for case_id in known if case_id == selector]
        if not hits:
            usage_error("no case matches %r (examples: 1.*  6.4.*  7.7.1)" % selector)
        wanted.update(hits)
    return sorted(wanted, key=sort_key)


def usage_error(message):
    print("conformance: " + message, file=sys.stderr)
    sys.exit(2)


def spec(url, outdir, selectors):
    expand(selectors)  # A selector that matches nothing is refused before the run.
    print(json.dumps({
        "outdir": outdir,
        "servers": [{"agent": AGENT, "url": url}],
        "cases": list(selectors),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }, indent=2))


def load_json(path):
    """The parsed file, or None: a run that was cut short leaves none or half of one."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return None


def plain(text):
    """The suite's texts are HTML fragments with line breaks in odd places."""
    return " ".join(re.sub(r"<[^>]*>", " ", str(text or "")).split())


def column(verdict):
    return verdict if verdict in GOOD else "FAILED"


def print_table(results):
    heads = "".join("%8s" % head for _, head in COLUMNS)
    print("%-28s %5s |%s |%s" % ("", "", "behavior".rjust(len(heads)), "close".rjust(len(heads))))
    print("%-28s %5s |%s |%s" % ("group", "cases", heads, heads))
    groups = sorted({int(case_id.split(".")[0]) for case_id in results})
    rows = [("%2d %s" % (group, GROUP_TITLES.get(group, "")),
             [case for case_id, case in results.items() if case_id.split(".")[0] == str(group)])
            for group in groups]
    rows.append(("all", list(results.values())))
    for label, cases in rows:
        cells = []
        for field in ("behavior", "behaviorClose"):
            verdicts = [column(case.get(field)) for case in cases]
            cells.append("".join("%8d" % verdicts.count(name) for name, _ in COLUMNS))
        print("%-28s %5d |%s |%s" % (label, len(cases), cells[0], cells[1]))


def report(outdir, selectors):
    expected = expand(selectors)
    index = load_json(os.path.join(outdir, "index.json"))
    if not isinstance(index, dict):
        print("The fuzzing client left no readable index.json: it did not finish.")
        index = {}
    results = index.get(AGENT) or {}
    results = {case_id: results[case_id] for case_id in sorted(results, key=sort_key)}

    passed, skipped, failed = [], [], []
    for case_id, case in results.items():
        verdicts = (case.get("behavior"), case.get("behaviorClose"))
        if any(verdict not in GOOD for verdict in verdicts):
            failed.append(case_id)
        elif "UNIMPLEMENTED" in verdicts:
            skipped.append(case_id)
        else:
            passed.append(case_id)

    if results:
        print_table(results)
        print()

    for case_id in failed:
        case = results[case_id]
        detail = load_json(os.path.join(outdir, os.path.basename(case.get("reportfile", "")))) or {}
        print("FAILED %s (behavior %s, close %s, close code %s)" % (
            case_id, case.get("behavior"), case.get("behaviorClose"), case.get("remoteCloseCode")))
        print("    sent:     %s" % (plain(detail.get("description")) or "(no details were written)"))
        print("    expected: %s" % plain(detail.get("expectation")))
        print("    outcome:  %s %s" % (plain(detail.get("result")), plain(detail.get("resultClose"))))
    if failed:
        print()

    missing = [case_id for case_id in expected if case_id not in results]
    print("%d of %d expected cases were run" % (len(expected) - len(missing), len(expected)))
    if missing:
        shown = " ".join(missing[:20]) + (" ..." if len(missing) > 20 else "")
        print("%d not run, counted as failed: %s" % (len(missing), shown))
    if not passed:
        print("No case passed: a run that proves nothing is a failure.")

    tally = "%d passed, %d failed" % (len(passed), len(failed) + len(missing))
    if skipped:
        tally += ", %d skipped" % len(skipped)
    print(tally)
    return 1 if failed or missing or not passed else 0


def main(arguments):
    if len(arguments) >= 4 and arguments[0] == "spec":
        spec(arguments[1], arguments[2], arguments[3:])
        return 0
    if len(arguments) >= 3 and arguments[0] == "report":
        return report(arguments[1], arguments[2:])
    usage_error("usage: report.py spec URL OUTDIR SELECTOR... | report OUTDIR SELECTOR...")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
