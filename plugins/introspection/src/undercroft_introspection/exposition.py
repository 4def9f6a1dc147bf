"""The instruments' values in Prometheus' text format, or in OpenMetrics for who asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from undercroft.files import in_thread
from undercroft_introspection.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from undercroft_hookspecs import Sample, Samples

_TOTAL = "_total"


class Exposition:
    """Writes down what `samples` gives at that moment."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    async def answer(self, accept: str) -> Answer:
        """The values, in what the header Accept prefers."""
        # The values belong to the loop; what is made of them takes a while where there are many.
        return await in_thread(_rendered, self._samples.samples(), accept)


class _Families(Collector):
    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        """One family for each instrument. A counter's name ends in `_total`, whether the plugin has said so or not."""
        families: dict[tuple[str, str], Metric] = {}
        for sample in self._samples:
            name = sample.name.removesuffix(_TOTAL) if sample.kind == "counter" else sample.name
            family = families.setdefault((sample.kind, name), Metric(name, sample.summary, sample.kind))
            suffix = _TOTAL if sample.kind == "counter" else ""
            family.add_sample(name + suffix, dict(sample.labels), sample.value)
        return families.values()


def _rendered(samples: Sequence[Sample], accept: str) -> Answer:
    try:
        encode, kind = choose_encoder(accept)
    except (TypeError, ValueError):  # A version that is none.
        encode, kind = choose_encoder("")
    return Answer(encode(_Families(samples)), kind=kind)
