import pytest


@pytest.mark.parametrize("interval", [4, 10])
def test_bar__shows_loss_and_speed_where_the_trainer_logs(fit, recipe, monkeypatch, interval):
    displayed_metrics = []

    def update(self, trainer, task):
        if trainer.training:
            displayed_metrics.append((trainer.global_step, self.get_metrics(trainer, task)))

    monkeypatch.setattr("lightseg.callbacks.Bar._update_metrics", update)
    options = ["--trainer.enable_progress_bar", "true", "--trainer.log_every_n_steps", str(interval)]
    options += ["--trainer.max_epochs", "1", "--data.batch_size", "4", "--data.train_size", "24"]
    outcome = fit("--config", recipe(), *options)
    assert outcome.code == 0, outcome.err
    # and at the end of an epoch, however short it is
    assert [step for step, _ in displayed_metrics] == ([4, 6, 6] if interval == 4 else [6, 6])
    for _, metrics in displayed_metrics:
        assert metrics["train/loss"] > 0
        assert metrics["train/images_per_s"] > 0
