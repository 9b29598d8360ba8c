from torch import nn

from mmdet_shufflenetv2.models.backbones.norm_eval import set_batch_norms_to_eval


def test_only_batch_norms_are_set_to_eval_mode():
    norms = [nn.BatchNorm2d(2), nn.SyncBatchNorm(2)]
    others = [nn.GroupNorm(1, 2), nn.Dropout(), nn.Conv2d(2, 2, 1)]
    network = nn.Sequential(norms[0], others[0], nn.Sequential(norms[1], *others[1:])).train()
    set_batch_norms_to_eval(network)
    assert not any(norm.training for norm in norms)
    assert all(other.training for other in others)
    assert network.training
