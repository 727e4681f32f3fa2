"""How good answers are by the layers that are asked, where the right answers are known."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from athena_tuning.model import LAYERS, ConfigSet, ConfigVersion, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.fusion import DEPTH
from athena_tuning.recall.fusion_fit import FusionCase, fit, left_out, recall_at
from athena_tuning.recall.routing import own_layer
from athena_tuning.service.estimate import Estimate
from athena_tuning.service.plain_json import without_nan
from athena_tuning.store import ConfigChange

LEAST_QUESTIONS = 50
"""Questions from which on weights are learned. Judgement: an interval of recall is ± 0.1 wide then."""

IN_FORCE = "in force"
"""The way of recalls under the configs of a store."""


class BadGold(ValueError):
    """A file of questions cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class GoldQuestion:
    """A question and the pieces of evidence that answer it, in a scope or in none."""

    text: str
    evidence: frozenset[str]
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """What one way of asking gives and costs.

    Attributes:
        way: which layers were asked: "in force", that "without" a layer, or as ``way`` takes them.
        versions: config versions under which its recalls ran; 0 for what is not from a store.
        questions: how many.
        recall: share of the evidence among the first k pieces that were found.
        reciprocal_rank: 1 / rank of the first right piece, 0 where there is none; its mean is the MRR.
        calls: layers a question.
        latency_ms: a question, one after another and alone.
        lost: recall that the first way has and this one has not, question by question.
        saved: layers that this way asks less than the first, question by question.
        saved_ms: likewise, by how much it is faster.
        partial: questions to which a layer did not answer.
    """

    way: str
    versions: tuple[int, ...]
    questions: int
    recall: Estimate
    reciprocal_rank: Estimate
    calls: Estimate
    latency_ms: Estimate
    lost: Estimate
    saved: Estimate
    saved_ms: Estimate
    partial: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types; what is unknown is null."""
        values: dict[str, Any] = without_nan(asdict(self))
        return values


def read_gold(path: Path) -> list[GoldQuestion]:
    """Read questions with their evidence: JSON lines with text (or query), evidence, and scope (or conv).

    Questions without evidence are passed over: nothing can be found for them.

    Args:
        path: a ``.jsonl`` or ``.jsonl.gz`` file.

    Raises:
        BadGold: if a line does not fit, or no question has evidence.
    """
    questions = []
    number = 1
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    questions.append(_question(json.loads(line)))
                number += 1
    except (ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error) as exc:
        raise BadGold(f"line {number} of {path}: {exc}") from exc
    known = [question for question in questions if question.evidence]
    if not known:
        raise BadGold(f"no question of {path} has evidence: a list of ids that answer it")
    return known


def way(words: str) -> TuningConfig:
    """Return the config under which recalls ask what ``words`` say.

    Args:
        words: layers joined by "+"; after ">" those of a second round.

    Raises:
        ValueError: if a name is missing or stands twice, or one layer is a first round.

    Examples:
        >>> config = way("episodic+semantic>graph")
        >>> sorted(config.extra_layers), sorted(config.second_round)
        (['episodic', 'graph', 'semantic'], ['graph'])
    """
    rounds = [[name.strip() for name in part.split("+")] for part in words.split(">")]
    names = [name for part in rounds for name in part]
    if len(rounds) > 2 or not all(names) or len(set(names)) < len(names):
        raise ValueError(f"layers are joined by + and a second round follows one >, not {words!r}")
    if len(rounds) == 2 and len(rounds[0]) < 2:
        raise ValueError(f"the first round of {words!r} needs two layers that can agree")
    second = frozenset(rounds[1] if len(rounds) == 2 else ())
    return TuningConfig(extra_layers=frozenset(names), second_round=second)


def only_layers(words: str) -> dict[str, Any]:
    """Return the fields of a config that asks what ``words`` say, and no other of the built-in layers.

    Of every question alike: nothing that was learned by question holds.

    Raises:
        ValueError: as ``way`` does.

    Examples:
        >>> sorted(only_layers("episodic+semantic>graph")["skipped_layers"])
        ['procedural', 'prospective']
    """
    config = way(words)
    return {
        "extra_layers": config.extra_layers,
        "second_round": config.second_round,
        "skipped_layers": frozenset(LAYERS) - config.extra_layers,
        "question_model": {},
    }


def measure(
    memory: Path,
    gold: Sequence[GoldQuestion],
    ways: Iterable[str],
    in_force: ConfigSet | None,
    k: int = 10,
    progress: Callable[[int], None] = lambda _: None,
    left_out: Iterable[str] = (),
) -> list[Quality]:
    """Ask the questions in each way; nothing is explored, cached or recorded anywhere.

    Args:
        memory: the file that is asked.
        gold: the questions.
        ways: see ``way``; each after what is in force.
        in_force: configs that are measured first; None: the ways alone.
        k: pieces of evidence that count.
        progress: told how many more questions were asked.
        left_out: layers, each of which is left out of what is in force, by itself.

    Raises:
        ValueError: if a way makes no sense or names a layer that the memory does not have.
    """
    measured: list[Quality] = []
    first: list[_Scored] = []
    with MemoryManager(memory) as manager:
        layers = manager.memory.layers
        configs: list[tuple[str, ConfigSet, Collection[str]]] = []
        if in_force is not None:
            configs = [(IN_FORCE, in_force, layers)]
            configs += [
                (f"without {layer}", _without(in_force, layer), {*layers, layer}) for layer in left_out
            ]
        for words in dict.fromkeys(ways):
            config = way(words)
            by_words = ConfigSet(default=replace(ConfigSet().default, config=config))
            configs.append((words, by_words, config.extra_layers))
        for words, config_set, names in configs:
            if unknown := sorted(set(names) - set(layers)):
                raise ValueError(f"the memory has no layer {unknown[0]!r}; it has {', '.join(layers)}")
            with MemoryManager(
                ":memory:", layers=[layers[name] for name in layers if name in names]
            ) as asked:
                scored = _score_answers(asked, gold, config_set, k, progress)
            first = first or scored
            measured.append(_quality(words, scored, first))
    return measured


def _without(configs: ConfigSet, layer: str) -> ConfigSet:
    """Return configs that leave a layer out of every type, besides."""

    def less(version: ConfigVersion) -> ConfigVersion:
        config = version.config
        return replace(version, config=replace(config, skipped_layers=config.skipped_layers | {layer}))

    by_type = {scope: less(version) for scope, version in configs.by_type.items()}
    return replace(configs, default=less(configs.default), by_type=by_type)


@dataclass(frozen=True, slots=True)
class FusionAdvice:
    """Weights of layers and a rank constant that were learned from questions whose answers are known.

    Attributes:
        scope: the type that they are of; "all": of whatever type.
        questions: how many.
        weights: by layer; 1 for others.
        rank_constant: see ``TuningConfig``.
        recall: of the plain rule: all weights 1, constant 60.
        left_out: of what is learned without a question's scope (or without every fifth question, if all are
            of one), on that question.
        gained: by that, question by question.
    """

    scope: str
    questions: int
    weights: Mapping[str, float]
    rank_constant: int
    recall: Estimate
    left_out: Estimate
    gained: Estimate

    @property
    def is_sure(self) -> bool:
        """Whether the gain is above 0 with its whole interval."""
        return self.gained.low > 0

    @property
    def command(self) -> str:
        """What puts it in force."""
        weights = ",".join(f"{layer}={weight:g}" for layer, weight in self.weights.items()) or "none"
        values = f"--fusion-weights {weights} --rank-constant {self.rank_constant}"
        values += "" if self.scope == "all" else f" --scope {self.scope}"
        return f'athena-tuning config apply {values} --reason "learned from {self.questions} questions"'

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return {**asdict(self), "weights": dict(self.weights), "is_sure": self.is_sure}


def learn_fusion(
    memory: Path,
    gold: Sequence[GoldQuestion],
    in_force: ConfigSet,
    k: int = 10,
    progress: Callable[[int], None] = lambda _: None,
) -> list[FusionAdvice]:
    """Learn what layers' ranks should count, from what they give under the configs in force.

    Returns:
        First for all questions, then for each type that has ``LEAST_QUESTIONS``, if there are several types.

    Raises:
        ValueError: if there are fewer than ``LEAST_QUESTIONS``.
    """
    if len(gold) < LEAST_QUESTIONS:
        raise ValueError(f"{len(gold)} questions are too few to learn from: {LEAST_QUESTIONS} are needed")
    by_type: dict[str, list[FusionCase]] = defaultdict(list)
    with (
        MemoryManager(memory) as manager,
        MemoryManager(":memory:", layers=manager.memory.layers.values()) as asked,
    ):
        answers = _answers(asked, gold, in_force, max(k, DEPTH))
        for question, (answer, _) in zip(gold, answers, strict=True):
            lists = {layer: answer[layer] for layer in answer["_layers"] if layer in answer}
            query_type = answer["_query_type"]
            if (own := own_layer(query_type)) in lists:
                lists = {own: lists[own], **lists}
            by_type[query_type].append(FusionCase(lists, question.evidence, question.scope))
            progress(1)
    everything = [case for cases in by_type.values() for case in cases]
    kinds = {query_type: cases for query_type, cases in by_type.items() if len(by_type) > 1}
    enough = {query_type: cases for query_type, cases in kinds.items() if len(cases) >= LEAST_QUESTIONS}
    return [_advice(scope, cases, k) for scope, cases in {"all": everything, **enough}.items()]


def _advice(scope: str, cases: list[FusionCase], k: int) -> FusionAdvice:
    if len({case.group for case in cases}) < 2:
        cases = [replace(case, group=number % 5) for number, case in enumerate(cases)]
    plain = [recall_at(case, k) for case in cases]
    learned = [recall_at(case, k, rule) for case, rule in zip(cases, left_out(cases, k), strict=True)]
    rule = fit(cases, k)
    return FusionAdvice(
        scope,
        len(cases),
        rule.weights,
        rule.constant,
        Estimate.of(plain),
        Estimate.of(learned),
        Estimate.of([after - before for before, after in zip(plain, learned, strict=True)]),
    )


@dataclass(frozen=True, slots=True)
class _Scored:
    recall: float
    reciprocal_rank: float
    calls: int
    latency_ms: float
    partial: bool
    version: int


def _score_answers(
    manager: MemoryManager,
    gold: Sequence[GoldQuestion],
    configs: ConfigSet,
    k: int,
    progress: Callable[[int], None],
) -> list[_Scored]:
    scored = []
    for question, (answer, version) in zip(gold, _answers(manager, gold, configs, k), strict=True):
        scored.append(_scored(answer, question, k, version))
        progress(1)
    return scored


def _answers(
    manager: MemoryManager, gold: Sequence[GoldQuestion], configs: ConfigSet, k: int
) -> Iterator[tuple[dict[str, Any], int]]:
    """Ask each question; give its answer and the version of ``configs`` that it ran under.

    No answer depends on those before it: none explores, is kept, or is thin beside others of its type.
    """
    ways = {"all": configs.default, **configs.by_type}
    versions = {}
    changes = [
        ConfigChange(
            replace(
                version.config, exploration_share=0.0, enable_cache=False, deadline_seconds=None, thin_below=1
            ),
            expected_version=0,
            actor="quality",
            reason="measured",
            scope=scope,
        )
        for scope, version in ways.items()
    ]
    for scope, made in zip(ways, manager.apply_configs(changes), strict=True):
        versions[made.version] = ways[scope].version
    for question in gold:
        answer = manager.recall(question.text, k=k, scope=question.scope, use_cache=False)
        yield answer, versions[answer["_config_version"]]


def _scored(answer: Mapping[str, Any], question: GoldQuestion, k: int, version: int) -> _Scored:
    pieces = [piece for item in answer["_fused"] for piece in item.get("evidence") or (item["id"],)]
    found = [*dict.fromkeys(pieces)]
    rank = next((n for n, piece in enumerate(found, 1) if piece in question.evidence), math.inf)
    return _Scored(
        len(question.evidence.intersection(found[:k])) / len(question.evidence),
        1 / rank,
        len(answer["_layers"]),
        answer["_latency_ms"],
        answer["_partial"] or not answer["_success"],
        version,
    )


def _quality(words: str, scored: Sequence[_Scored], first: Sequence[_Scored]) -> Quality:
    pairs = list(zip(first, scored, strict=True))
    return Quality(
        words,
        tuple(sorted({one.version for one in scored})),
        len(scored),
        Estimate.of([one.recall for one in scored]),
        Estimate.of([one.reciprocal_rank for one in scored]),
        Estimate.of([float(one.calls) for one in scored]),
        Estimate.of([one.latency_ms for one in scored]),
        Estimate.of([was.recall - one.recall for was, one in pairs]),
        Estimate.of([float(was.calls - one.calls) for was, one in pairs]),
        Estimate.of([was.latency_ms - one.latency_ms for was, one in pairs]),
        sum(one.partial for one in scored),
    )


def _question(values: Any) -> GoldQuestion:
    if not isinstance(values, dict):
        raise ValueError(f"a question is an object with text and evidence, not {type(values).__name__}")
    text = values.get("text", values.get("query"))
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a question needs a text")
    scope = values.get("scope", values.get("conv"))
    if scope is not None and not isinstance(scope, str):
        raise ValueError(f"scope must be text, not {scope!r:.80}")
    evidence = values.get("evidence")
    if not isinstance(evidence, list) or not all(isinstance(piece, str) for piece in evidence):
        raise ValueError("evidence must be a list of the ids that answer the question")
    return GoldQuestion(text, frozenset(evidence), scope)
