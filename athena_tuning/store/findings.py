"""What an examination finds, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a finding is meant."""

    GOOD = "good"
    ADVICE = "advice"
    """It works; something would be better."""
    ACT = "act"
    """Something must be done."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what.
        verdict: how it is.
        found: what was found, in words.
        remedy: what to do about it; empty where nothing is to be done.
    """

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def good(subject: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(subject, Verdict.GOOD, found)


def advice(subject: str, found: str, remedy: str) -> Finding:
    """Return that something could be better."""
    return Finding(subject, Verdict.ADVICE, found, remedy)


def act(subject: str, found: str, remedy: str) -> Finding:
    """Return that something must be done."""
    return Finding(subject, Verdict.ACT, found, remedy)
