"""Suggestions for misspelled options."""

import pytest

from lightseg.config.option_names import _SYNONYMS, suggest_option


@pytest.mark.parametrize(("option", "names"), _SYNONYMS.items())
def test_guessed_flag__names_the_option_that_is_suggest_option(capsys, option, names):
    from lightseg.fit import main

    assert main(["--config", "x.yaml", f"--{names[0]}", "1"]) == 2 or names[0] in ("data",)
    assert f"no option '{names[0]}'; did you mean --{option}?" in capsys.readouterr().err
    assert all(suggest_option(name) == f"; did you mean --{option}?" for name in names)


@pytest.mark.parametrize(
    ("flag", "option"), [("bathc_size", "data.batch_size"), ("learning-rate", "model.optimizer.lr")]
)
def test_guessed_flag__may_be_misspelt_or_have_dashes(flag, option):
    assert suggest_option(flag) == f"; did you mean --{option}?"
