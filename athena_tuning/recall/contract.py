"""What a face needs of whatever remembers and recalls: a manager, or a cluster of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from athena_tuning.model import ConfigSet, LayerHealth, TuningConfig, WorkerStatus
from athena_tuning.recall.items import Item
from athena_tuning.recall.memory import ANY_SCOPE, AnyScope


class Remembering(Protocol):
    """Remembers and recalls; ``MemoryManager`` says what each method means."""

    async def arecall(
        self,
        query: str,
        context: Mapping[str, Any] | None = None,
        k: int = 5,
        scope: str | None = None,
        use_cache: bool = True,
        use_parallel: bool = True,
        layers: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Ask the layers that the query calls for."""
        ...

    def remember(self, item: Item | Mapping[str, Any]) -> str:
        """Keep an item."""
        ...

    def remember_many(self, items: Iterable[Item | Mapping[str, Any]]) -> dict[str, int]:
        """Keep items; return how many by layer."""
        ...

    def forget(self, item_id: str, scope: str | AnyScope | None = ANY_SCOPE) -> bool:
        """Drop an item."""
        ...

    def forget_many(self, item_ids: Iterable[str], scope: str | AnyScope | None = ANY_SCOPE) -> int:
        """Drop items; return how many were known."""
        ...

    def item(self, item_id: str, scope: str | AnyScope | None = ANY_SCOPE) -> Item | None:
        """Return an item."""
        ...

    def counts(self) -> dict[str, int]:
        """Return the items of each layer."""
        ...

    def record_feedback(self, query_id: str, score: float) -> bool:
        """Note how good an answer was."""
        ...

    def layer_health(self) -> dict[str, LayerHealth]:
        """Return how each layer is."""
        ...

    def status(self) -> WorkerStatus:
        """Return what a worker tells the store of itself."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that recalls can ask."""
        ...

    @property
    def configs(self) -> ConfigSet:
        """The configs in force."""
        ...

    @property
    def config(self) -> TuningConfig:
        """The config in force for all types."""
        ...
