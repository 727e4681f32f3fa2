"""Tells which layer's results an answer used, and is advised which layer its queries can do without."""

import time

from athena_tuning import Control

NOTES = {
    "facts": ["Ana owns billing.", "Bo owns search."],
    "events": ["The billing deploy failed on Friday.", "Search was rebuilt in May."],
    "drafts": ["Remember the milk."],
}


def answer(control: Control, text: str) -> list[str]:
    left_out = control.current_config("factual").skipped_layers
    with control.measure(text, "factual") as query:
        found = {}
        for name in NOTES.keys() - left_out:
            with query.layer(name) as layer:
                found[name] = [note for note in NOTES[name] if text in note.lower()]
                layer.result_count = len(found[name])
        for name, notes in found.items():
            query.used(name, len(notes))
        return [note for notes in found.values() for note in notes]


if __name__ == "__main__":
    with Control("memory://") as control:
        for _ in range(200):
            answer(control, "billing")
            answer(control, "search")
        while (told := control.proposals.get("factual")) is None or told.missing:
            time.sleep(0.1)  # the tuner looks once a second
        advised = told.under(control.tuner.strategy, control.current_config("factual"))
        print(f"leave out: {', '.join(sorted(advised.skipped_layers)) if advised else 'nothing'}")
