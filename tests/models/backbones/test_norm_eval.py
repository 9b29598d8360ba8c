from torch import nn

from mmdet_shufflenetv2.models.backbones.norm_eval import batch_norms_to_eval


def test_batch_norms_of_every_kind_and_nothing_else_are_in_eval_mode():
    norms = [nn.BatchNorm2d(2), nn.SyncBatchNorm(2)]
    others = [nn.GroupNorm(1, 2), nn.Dropout(), nn.Conv2d(2, 2, 1)]
    network = nn.Sequential(norms[0], others[0], nn.Sequential(norms[1], *others[1:])).train()
    batch_norms_to_eval(network)
    assert not any(norm.training for norm in norms)
    assert all(other.training for other in others)
    assert network.training
