"""What a newcomer is shown on Overview, until somebody puts it away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from athena_tuning.service.roles import NotAllowed
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.ui.frame import stage
from tests.support.dashboard import VIEWER, fill
from tests.support.pages import is_sound, press, visit, words


@pytest.fixture
def demonstrated(served: TuningService) -> Iterator[TuningService]:
    """The pages' service, with its demo load on."""
    fill(served)
    assert served.embedded is not None
    served.embedded.start_demo()
    yield served
    stage.end_all()


def test_acts_are_offered_until_they_are_put_away(demonstrated: TuningService) -> None:
    at = visit("overview")
    assert is_sound(at)
    assert "See a wrong config get right" in words(at)
    assert "only the waiting of the layers is simulated" in words(at)
    press(at, "Put this away")
    assert "See a wrong config get right" not in words(at)
    assert "See a wrong config get right" not in words(visit("overview"))
    assert demonstrated.is_welcomed()


def test_an_act_is_shown_on_every_page_in_place_of_what_is_served_and_left_again(
    demonstrated: TuningService,
) -> None:
    at = visit("overview")
    at.button(key="start-act-knee").click().run()
    assert is_sound(at)
    assert "Only the waits of the layers are simulated" in words(at)
    assert demonstrated.configs().default.version == 0
    shown = stage._running["knee"]
    assert shown.configs().default.config.max_concurrent == 12
    at.switch_page("tune/config.py").run()
    assert "A backend with a knee" in words(at)
    press(at, "Leave the act")
    assert is_sound(at)
    assert "A backend with a knee" not in words(at)
    assert not stage._running


def test_a_viewer_starts_no_act(demonstrated: TuningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_TUNING_ROLE", "viewer")
    at = visit("overview")
    assert at.button(key="start-act-knee").disabled
    with pytest.raises(NotAllowed):
        demonstrated.put_welcome_away(VIEWER)


def test_tour_has_three_steps_and_is_not_shown_again_once_it_was_done(demonstrated: TuningService) -> None:
    at = visit("overview")
    for number in (1, 2, 3):
        assert f"The tour, step {number} of 3" in words(at)
        at.button(key="tour-next").click().run()
        assert is_sound(at)
    assert "The tour" not in words(at)
    assert demonstrated.is_toured()
    assert not demonstrated.is_welcomed()
    assert "The tour" not in words(visit("overview"))


def test_tour_that_a_viewer_skips_is_over_for_this_visit_alone(
    demonstrated: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_ROLE", "viewer")
    at = visit("overview")
    press(at, "Skip the tour")
    assert is_sound(at)
    assert "The tour" not in words(at)
    assert not demonstrated.is_toured()


def test_first_screen_offers_a_manager_a_sample_and_files_of_ones_own(demonstrated: TuningService) -> None:
    at = visit("overview")
    assert "athena-tuning manager --load" in words(at)
    assert 'MemoryManager("memory.db")' in words(at)
    at.button(key="welcome-load").click().run()
    assert is_sound(at)
    assert [batch.kind for batch in demonstrated.sources()] == ["sample"]
    assert "by itself" in words(at)
