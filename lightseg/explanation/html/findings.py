"""First section of the page: the most important failures, in words."""

from __future__ import annotations

from lightseg.comparison.text import percent
from lightseg.explanation.collect import Observations
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.findings import Finding
from lightseg.explanation.text import evidence, sentence
from lightseg.visualization.html.markup import escape

DOUBT = "No concentration of errors is shown to be more than chance; the largest are:"


def findings(explanation: Explanation) -> str:
    """Return a list of sentences, each with its evidence."""
    stats = explanation.observations
    if not explanation.findings:
        nothing = "Errors are not concentrated anywhere" if stats.wrong else f"None of the {stats.unit} is wrong"
        return f'<p class="missing">{nothing}.</p>'
    items = "".join(
        f"<li><p>{escape(sentence(each, stats))}</p>{_bars(each)}<small>{escape(evidence(each, stats))}</small></li>"
        for each in explanation.findings
    )
    doubt = "" if explanation.findings[0].is_significant else f'<p class="missing">{DOUBT}</p>'
    return f'{doubt}<ol class="findings">{items}</ol>{_hint(stats)}'


def _bars(finding: Finding) -> str:
    """Return the rate of the finding over that of the rest."""
    rates = (("here", finding.error_slice.rate), ("else", finding.error_slice.rest))
    bars = "".join(f'<span class="{kind}" style="width:{percent(rate)}%"></span>' for kind, rate in rates)
    return f'<div class="rates" aria-hidden="true">{bars}</div>'


def _hint(stats: Observations) -> str:
    looked = "light and what it is taken for"
    if stats.kind == "segmentation":
        looked = "place, size of the object, light, what it is taken for, and objects that are not found"
    return (
        f'<p class="hint">Each class is looked at by {looked}. Findings are ranked by the {stats.unit} that are wrong '
        "beyond the rate elsewhere (the grey bar), times the difference of the two rates, those that may be chance "
        "last; each is about what those above it leave. p is how often chance alone gives anything as clear: what each "
        "image adds to a difference is "
        "given a random sign.</p>"
    )
