from types import SimpleNamespace

import torch

from lightseg.callbacks import StepSeed


def draw(seed=0, step=3, batch=6, rank=0, accumulate=1):
    trainer = SimpleNamespace(global_step=step, global_rank=rank, accumulate_grad_batches=accumulate)
    StepSeed(seed).on_train_batch_start(trainer, SimpleNamespace(device=torch.device("cpu")), None, batch)
    return torch.rand(()).item()


def test_step_seed__is_all_that_a_draw_depends_on():
    torch.rand(3)
    first = draw()
    torch.rand(5)
    assert draw() == first
    # the same step of a resumed epoch
    assert draw(batch=9) == first


def test_step_seed__differs_by_seed_step_process_and_accumulated_batch():
    others = [draw(seed=1), draw(step=4), draw(rank=1), draw(batch=7, accumulate=2)]
    assert len({draw(), *others}) == 5
