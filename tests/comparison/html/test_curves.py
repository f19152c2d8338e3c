import json
import re

from lightseg.comparison.html.curves import curves


def test_curves__a_line_for_each_run_in_each_chart(make_comparison):
    html = curves(make_comparison())

    assert html.count("<figure>") == 3
    assert html.count('class="line g0 of0"') == html.count('class="line g1 of1"') == 6
    assert "<title>step 20\nbig: 40.0, 40.0\nsmall: 40.0, 40.0</title>" in html


def test_curves__what_is_not_finite_is_left_out_and_long_ones_are_thinned(make_comparison):
    comparison = make_comparison(labels=("only",))
    for run in comparison.groups[0].runs:
        rows = [{"step": step, "train/loss": None if step % 2 else 0.5 + step} for step in range(1000)]
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = curves(comparison)
    (points, _) = re.findall(r'points="(.*?)"', html)

    assert html.count("<figure>") == 1
    assert "logarithmic" in html
    assert len(points.split()) == 200
    # 500 values in 200 chunks: the first three are the values at the steps 0, 2 and 4
    assert "<title>step 2\nonly: 2.50, 2.50</title>" in html


def test_curves__values_at_the_ends_of_float64(make_comparison):
    comparison = make_comparison(labels=("only",))
    for run in comparison.groups[0].runs:
        rows = [{"step": step, "val/score": value} for step, value in ((1, 1e308), (2, -1e308), (3, 0.5))]
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert re.findall("<title>(.*?)</title>", curves(comparison), re.DOTALL) == ["step 3\nonly: 50.0, 50.0"]


def test_curves__of_a_run_that_logged_nothing_there_are_none(make_comparison):
    comparison = make_comparison(labels=("only",))
    for run in comparison.groups[0].runs:
        (run.folder / "metrics.jsonl").write_text("")

    assert curves(comparison) == ""
