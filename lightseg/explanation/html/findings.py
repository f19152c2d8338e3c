"""First section: the most important failures, in words."""

from __future__ import annotations

from markupsafe import Markup

from lightseg.comparison.text import percent
from lightseg.explanation.explanation import Explanation
from lightseg.explanation.text import evidence, sentence
from lightseg.visualization.html import render

DOUBT = "No concentration of errors is shown to be more than chance; the largest are:"


def findings(explanation: Explanation) -> Markup:
    """Render a list of sentences, each with its evidence and with a bar of its rate over that of the rest."""
    observations, results = explanation.seen, explanation.findings
    return render(
        "explanation/html/findings.html",
        unit=observations.unit,
        has_errors=observations.wrong > 0,
        is_significant=bool(results) and results[0].holds,
        doubt=DOUBT,
        findings=[
            {
                "sentence": sentence(finding, observations),
                "evidence": evidence(finding, observations),
                "rate": percent(finding.what.rate),
                "rest": percent(finding.what.rest),
            }
            for finding in results
        ],
    )
