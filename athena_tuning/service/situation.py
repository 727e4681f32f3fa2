"""Is all well, why not, and what is to be done? One sentence, its reason and its way out, by stated rules.

The rules are looked at in this order; the first that applies gives the sentence, the others are named behind
it. Shares are of live recalls alone.

1. The store cannot be read, or no manager is alive: nothing else that is shown is of now.
2. More than 1 % of the last five minutes' recalls are refused, or fail.
3. A budget burns: the share that misses an objective is ten times what may miss it (bad) or more than that
   (a warning), both in the last five minutes and in the last hour. At ten times, a month's budget lasts three
   days; two windows, so that neither a blip nor what is over is told.
4. p99 is twice what it was (a warning; five times is bad): an hour ago, or at this time yesterday, or
   just before, whichever is known first. Layer tasks that wait belong to it.
5. A layer is left out by a manager's breaker.
6. A manager has not reported itself, and none has taken its place on its machine.
7. Of the records of the managers that are alive more than 1 in 1,000 was lost: figures are low.
8. In the last hour a clock stepped, or the store was replaced.
9. In the last quarter of an hour the tuner took back a trial.
10. Nothing is promised yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from athena_tuning.service import text, units
from athena_tuning.service.facts import Act, Burn, Facts, Situation, WayOut

BURNS_FAST, BURNS = 10.0, 1.0
RISES, RISES_FAST = 2.0, 5.0
_FAILING = 0.01
_LOST = 0.001
_LOAD_IS_EQUAL = 1.3


def judge(facts: Facts) -> Situation:
    """Return what there is to say first.

    Examples:
        >>> from athena_tuning.service.facts import Stretch
        >>> judge(Facts(now=0.0, recent=Stretch(900, 3.0, 12.0, 0.0, 0.0, 0.0))).sentence
        'Nothing is promised yet: which p99 do you promise?'
    """
    findings = list(applying(facts))
    if not findings:
        return _fine(facts)
    first, others = findings[0], findings[1:]
    reasons = first.reasons
    if others and first.level != "quiet":
        reasons += tuple(other.sentence for other in others if other.level != "quiet")
    ways = {way: None for each in (first, *others) for way in each.ways_out}  # each once, in order
    return replace(first, reasons=reasons, ways_out=tuple(ways)[:2])


def applying(facts: Facts) -> Iterator[Situation]:
    """Yield what each rule that applies has to say, in the order of the rules; each names its rule."""
    for rule, finding in _by_rule(facts):
        yield replace(finding, rule=rule)


def _by_rule(facts: Facts) -> Iterator[tuple[str, Situation]]:
    if facts.unreachable:
        since = f" since {facts.clock(facts.read_at)}" if facts.read_at else ""
        why = (f"Figures are of then. {text.plain(facts.unreachable, 200)}",)
        way = _page("Look at the store", "system")
        yield "store", Situation("bad", f"The store cannot be read{since}.", why, (way,))
        return
    if not facts.alive:
        why = ("Nothing is measured now, and nothing would obey a change.",)
        way = _page("Which managers there were", "fleet")
        yield "no manager", Situation("bad", "No manager is alive on this store.", why, (way,))
    if not facts.recent.recalls:
        yield "nothing asked", _nothing_asked(facts)
        if facts.load_alone or not facts.alive:
            return
    for name, rule in _RULES.items():
        if (finding := rule(facts)) is not None:
            yield name, finding
    if not facts.is_asked and facts.recent.recalls:
        yield (
            "promise",
            Situation(
                "quiet",
                "Nothing is promised yet: which p99 do you promise?",
                ("Then this line says whether it is kept, and how much of the month's budget is used.",),
                (WayOut(Act.PROMISE, "Promise a p99…"),),
            ),
        )


def _nothing_asked(facts: Facts) -> Situation:
    if facts.load_alone:
        return Situation("quiet", "Load alone in the last five minutes: no live recall.")
    return Situation("quiet", "No recall in the last five minutes.")


def _refused(facts: Facts) -> Situation | None:
    share = facts.recent.refused
    if not share > _FAILING:
        return None
    words = f"{units.percent(share)} of the recalls are refused: more come than can be served."
    reasons = [f"{units.rate(facts.recent.per_second)} come in; {_waiting(facts)}."]
    return _with_cause(
        facts, Situation("bad", words, tuple(reasons), (_page("What can be carried", "concurrency"),))
    )


def _failing(facts: Facts) -> Situation | None:
    share = facts.recent.failed
    if not share > _FAILING:
        return None
    words = f"{units.percent(share)} of the recalls fail."
    return _with_cause(facts, Situation("bad", words, (), (_page("Which recalls fail", "recalls"),)))


def _slower(facts: Facts) -> Situation | None:
    """Rules 3 and 4: what burns a budget, and what is slower than it was."""
    rise = _rise(facts)
    burning = max(facts.burns, key=lambda burn: _known(burn.pace), default=None)
    pace = _known(burning.pace) if burning else 0.0
    if pace <= BURNS and rise < RISES:
        return None
    bad = pace >= BURNS_FAST or rise >= RISES_FAST
    waits = f"; {_waiting(facts)}" if facts.waiting else ""
    if rise >= RISES:
        words = (
            f"p99 is {units.ms(facts.recent.p99_ms)}, {_times(rise)} what it was {facts.usual_when}{waits}."
        )
    elif burning is not None:
        words = f"{_missing(burning)}{waits}."
    else:
        return None
    reasons: tuple[str, ...] = ()
    if burning is not None and pace > BURNS:
        left_over = (
            f"The budget burns {_times(pace)} too fast."
            if pace >= 1.05
            else "The budget is used up as fast as it may."
        )
        reasons = (
            (left_over,)
            if rise < RISES
            else (f"{_missing(burning)}: the budget burns {_times(pace)} too fast.",)
        )
    situation = Situation(
        "bad" if bad else "warn", words, reasons, (_page("Where the time goes", "latency"),)
    )
    return _with_cause(facts, situation)


def _sick(facts: Facts) -> Situation | None:
    if not facts.sick:
        return None
    first = min(facts.sick, key=lambda layer: layer.since)
    names = ", ".join(sorted(text.plain(layer.layer, 30) for layer in facts.sick))
    many = "are" if len(facts.sick) > 1 else "is"
    words = f"{names} {many} left out since {facts.clock(first.since)}."
    lacking = facts.recent.partial
    reasons = [text.plain(first.reason, 200).rstrip(".") + "."] if first.reason else []
    if lacking > 0:
        reasons.append(f"{units.percent(lacking)} of the answers lack a layer.")
    return Situation("warn", words, tuple(reasons), (_page("How the layers are", "layers"),))


def _gone(facts: Facts) -> Situation | None:
    if not facts.gone or not facts.alive:
        return None
    names = ", ".join(text.plain(name, 40) for name in facts.gone[:3])
    more = f" and {len(facts.gone) - 3} more" if len(facts.gone) > 3 else ""
    verb = "has" if len(facts.gone) == 1 else "have"
    words = f"{names}{more} {verb} not reported for some time."
    why = (f"{facts.alive} of {facts.alive + len(facts.gone)} managers are alive.",)
    return Situation("warn", words, why, (_page("Which managers there are", "fleet"),))


def _lost(facts: Facts) -> Situation | None:
    if not facts.lost > _LOST:
        return None
    words = f"{units.percent(facts.lost)} of the records were lost on the way: figures are low."
    return Situation("warn", words, (), (_page("What arrives", "system"),))


def _events(facts: Facts) -> Situation | None:
    if not facts.events:
        return None
    newest = max(facts.events, key=lambda event: event.time)
    what = "A clock stepped" if newest.kind == "clock" else f"The store was {text.plain(newest.kind, 30)}"
    reason = text.plain(newest.text, 200)
    return Situation(
        "warn", f"{what} at {facts.clock(newest.time)}.", (f"{reason[:1].upper()}{reason[1:].rstrip('.')}.",),
        (_page("What happened to the store", "system"),),
    )  # fmt: skip


def _taken_back(facts: Facts) -> Situation | None:
    if not facts.taken_back:
        return None
    newest = max(facts.taken_back, key=lambda decision: decision.time)
    words = f"The tuner took a trial back at {facts.clock(newest.time)}."
    return Situation("warn", words, (), (_page("Why it did", "history"),))


_RULES: Mapping[str, Callable[[Facts], Situation | None]] = {
    "refused": _refused,
    "failing": _failing,
    "slower": _slower,
    "layer": _sick,
    "manager gone": _gone,
    "records lost": _lost,
    "store or clock": _events,
    "taken back": _taken_back,
}


def _fine(facts: Facts) -> Situation:
    if not facts.burns:
        per_second = units.rate(facts.recent.per_second)
        words = f"Nothing stands out: p99 {units.ms(facts.recent.p99_ms)} at {per_second}."
        if not math.isfinite(facts.recent.p99_ms):
            words = f"Nothing stands out at {per_second}."
        return Situation("good", words, ("Nothing is promised.",), (WayOut(Act.PROMISE, "Promise a p99…"),))
    burn = facts.burns[0]
    share, known = burn.today, math.isfinite(burn.today)
    kept = f"{units.percent(share, 2)} {_kept(burn)} today" if known else "nothing was asked today"
    used = (
        (f"{units.percent(burn.month_used)} of the month's budget is used.",)
        if math.isfinite(burn.month_used)
        else ()
    )
    return Situation("good", f"Fine: {kept}.", used, (WayOut(Act.PROMISE, "Change the promise…"),))


def _with_cause(facts: Facts, situation: Situation) -> Situation:
    """Name the config that it began with, where load does not explain it, and offer to take it back."""
    change = facts.change
    if change is None:
        return situation
    load = change.after.per_second / change.before.per_second if change.before.per_second else math.nan
    if 1 / _LOAD_IS_EQUAL <= load <= _LOAD_IS_EQUAL:
        beside = "the load is the same"
    else:
        beside = (
            f"the load is {_times(load)} what it was"
            if math.isfinite(load)
            else "the load before is not known"
        )
    cause = f"It began at {facts.clock(change.time)} with v{change.version}: {change.what}; {beside}."
    reasons = (cause, *situation.reasons)
    if not change.in_force:
        return Situation(situation.level, situation.sentence, reasons, situation.ways_out)
    name = f"v{change.parent}" if change.parent else "the defaults"
    back = WayOut(Act.ROLL_BACK, f"Roll back to {name}…", str(change.parent))
    return Situation(situation.level, situation.sentence, reasons, (back, *situation.ways_out))


def _rise(facts: Facts) -> float:
    """Return how often today's p99 is in the usual one; 0 where it cannot be told."""
    if facts.usual is None:
        return 0.0
    ratio = facts.recent.p99_ms / facts.usual.p99_ms if facts.usual.p99_ms else math.nan
    return _known(ratio)


def _missing(burn: Burn) -> str:
    """Say which share misses an objective, in the last hour."""
    share = units.percent(burn.last_5_min * burn.allowed)
    whose = "" if burn.objective.scope == "all" else f"{text.plain(burn.objective.scope, 30)} "
    if burn.of_what == "p99":
        return f"{share} of the {whose}recalls miss the promised {units.ms(burn.objective.p99_ms)}"
    most = units.percent(burn.allowed, 2)
    return f"{share} of the {whose}recalls fail or are refused, promised is {most} at most"


def _kept(burn: Burn) -> str:
    whose = (
        "of the recalls"
        if burn.objective.scope == "all"
        else f"of the {text.plain(burn.objective.scope, 30)} recalls"
    )
    if burn.of_what == "p99":
        return f"{whose} came within {units.ms(burn.objective.p99_ms)}"
    return f"{whose} succeeded"


def _waiting(facts: Facts) -> str:
    return f"{units.count(facts.waiting)} {'task waits' if facts.waiting == 1 else 'tasks wait'}"


def _times(ratio: float) -> str:
    """Write a factor as people say it.

    Examples:
        >>> _times(25.2), _times(1.62)
        ('25 times', '1.6 times')
    """
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"


def _known(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _page(label: str, url: str) -> WayOut:
    return WayOut(Act.PAGE, label, url)
