"""Measures functions as they are: one decorator for the query, one for each layer."""

from athena_tuning import PerformanceProfiler

profiler = PerformanceProfiler()
measure = profiler.measure

FACTS = {"ana": "Ana owns billing.", "bo": "Bo owns search."}
STEPS = {"deploy": "Run make release.", "restore": "Run make restore."}


@measure.layer("semantic")
def facts(text: str) -> list[str]:
    return [fact for name, fact in FACTS.items() if name in text]


@measure.layer("procedural")
def steps(text: str) -> list[str]:
    return [step for name, step in STEPS.items() if name in text]


@measure.query("procedural")
def search(text: str) -> list[str]:
    return facts(text) + steps(text)


if __name__ == "__main__":
    for text in ("how does ana deploy?", "how to restore?", "who is bo?"):
        print(text, search(text))
    print(f"asked together: {profiler.get_layer_dependency_analysis()}")
