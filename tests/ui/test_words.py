"""What pages say is for people: no names of fields, no True, no huge percentages, no double signs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from athena_tuning.model import Action, Candidate, Decision, Mode, Objective, Reason, TuningConfig
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame.navigation import PAGES
from tests.support.dashboard import OPERATOR, fill
from tests.support.pages import is_sound, visit, words

FIELDS = sorted(set(TuningConfig().to_dict()) - {"strategy", "deadline", "second_round"})
REFUSED = {
    "a field's name": re.compile(rf"\b({'|'.join(FIELDS)}|incumbent_\w+|log_ratio)\b"),
    "a value of Python": re.compile(r"(?<![\w“])(True|False|None(?!:)|nan|inf)(?![\w”])"),
    "a percentage that nobody can picture": re.compile(r"[+−-]?\d(\d|,){3,} %"),
    "a double sign": re.compile(r"[+−-]{2}\d|[+−]-|%%"),
}


def untouched(service: TuningService) -> None:
    """Nothing has happened yet."""


def measured(service: TuningService) -> None:
    fill(service)


def steered(service: TuningService) -> None:
    """People and the tuner have changed much, and said so in the tuner's own words."""
    fill(service)
    before, after = (
        TuningConfig(),
        TuningConfig(8, timeout_seconds=6.25, enable_cache=False),
    )
    service.apply(OPERATOR, after, expected_version=0, reason="more at once")
    service.set_mode(OPERATOR, Mode.AUTO, expected_version=1, reason="let it steer")
    service.store.append_decision(
        Decision(
            "d1", service.now, "model", "all", Action.CANARY, before, after,
            "max_concurrent 5 → 8: -62% of the balanced objective predicted. Beside it: enable_cache "
            "True → False.",
            900,
            reasons=(Reason("max_concurrent", 8, "8 at once carry more than 5", {}, 900, "at most 8"),),
            candidates=(Candidate(after, -0.9, -1.0, -0.8), Candidate(before, 2.6, 2.5, 2.7)),
            predicted=-0.9,
            config_version=1,
        )
    )  # fmt: skip


def simulated(service: TuningService) -> None:
    """A person has brought a sample, and a load has run; the newest recalls were slow and failed."""
    records = fill(service)
    service.take_sample(OPERATOR, "mixed")
    late = [
        m._replace(
            query_id=f"late-{n}", latency_ms=(m.latency_ms or 1.0) * 900, timestamp=service.now - n / 10,
            success=n % 3 > 0, partial=n % 5 == 0, error="down" if n % 3 == 0 else None,
        )
        for n, m in enumerate(records[:600])
    ]  # fmt: skip
    service.store.append_metrics("late", 1, late)
    service.store.append_metrics("run", 1, [m._replace(source="load:4f1c") for m in records[:200]])
    service.tail.look()
    service.promise(OPERATOR, Objective("all", 50.0, 0.999))


@pytest.mark.parametrize("state", [untouched, measured, steered, simulated], ids=lambda state: state.__name__)
@pytest.mark.parametrize("url", PAGES)
def test_pages_speak_to_people(
    served: TuningService, url: str, state: Callable[[TuningService], None]
) -> None:
    state(served)
    at = visit(url, range="24h")
    assert is_sound(at)
    shown = re.sub(r"<style>.*?</style>|<[^>]*>", " ", words(at), flags=re.S)
    found = {why: sorted({m.group() for m in pattern.finditer(shown)}) for why, pattern in REFUSED.items()}
    said = {
        m.start(): shown[max(0, m.start() - 60) : m.end() + 30]
        for p in REFUSED.values()
        for m in p.finditer(shown)
    }
    assert not any(found.values()), (found, list(said.values())[:5])
