"""Is a case worse through the proxy than without it? The verdicts are Autobahn's own, from its index.json."""

from collections import Counter
from dataclasses import dataclass

# INFORMATIONAL judges nothing: the specification leaves the behaviour open.
RANKS = {
    "OK": 3,
    "INFORMATIONAL": 3,
    "NON-STRICT": 2,
    "UNIMPLEMENTED": 1,  # the extension was not agreed on
    "FAILED BY CLIENT": 1,  # the server left TCP open after the closing handshake
    "WRONG CODE": 1,
    "UNCLEAN": 1,
    "FAILED": 0,
    "MISSING": -1,  # no report: the run broke off, or hung
}


@dataclass(frozen=True)
class Verdict:
    behavior: str
    close: str  # Autobahn's behaviorClose
    code: int | None  # the close code that Autobahn received
    milliseconds: int
    report: str  # the file that tells it all, below the folder of the run

    def __str__(self):
        return f"{self.behavior} / close {self.close} {self.code or 'without a code'}"

    def good(self):
        return min(rank(self.behavior), rank(self.close)) >= RANKS["NON-STRICT"]


MISSING = Verdict("MISSING", "MISSING", None, 0, "")


def rank(word):
    # A word that a later Autobahn may bring is no better than a failure.
    return RANKS.get(word, RANKS["FAILED"])


def is_worse(direct, proxied):
    return rank(proxied.behavior) < rank(direct.behavior) or rank(proxied.close) < rank(direct.close)


def in_order(cases):
    return sorted(cases, key=lambda case: [int(number) for number in case.split(".")])


def counts(verdicts):
    """For the table: `294 OK, 4 NON-STRICT` of the behavior and of the close."""

    def tell(words):
        return ", ".join(f"{count} {word}" for word, count in sorted(Counter(words).items(), key=lambda c: -rank(c[0])))

    return tell(verdict.behavior for verdict in verdicts), tell(verdict.close for verdict in verdicts)


@dataclass
class Comparison:
    passed: list  # cases no worse than without the proxy
    failed: list  # cases worse, or without a verdict to compare with
    other_code: list  # cases no worse, but another close code arrived


def compare(cases, direct, proxied):
    outcome = Comparison([], [], [])
    for case in in_order(cases):
        without, through = direct.get(case, MISSING), proxied.get(case, MISSING)
        if without == MISSING or is_worse(without, through):
            outcome.failed.append(case)
            continue
        outcome.passed.append(case)
        if without.code != through.code:
            outcome.other_code.append(case)
    return outcome
