"""MLflow logger."""

import pytest

from lightseg.errors import ConfigError
from lightseg.loggers.mlflow import MLflow


def test_prepare__a_password_in_the_recipe_is_refused():
    with pytest.raises(ConfigError, match="or https://example.org here, and MLFLOW_TRACKING_USERNAME") as raised:
        MLflow(tracking_uri="https://me:secret@example.org").prepare()
    assert "secret" not in str(raised.value)
