"""The weights from which the authors' release starts."""

from __future__ import annotations

from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ...compat.private import BatchNorm, logs_initialization

__all__ = ['AuthorsInit']


@WEIGHT_INITIALIZERS.register_module()
class AuthorsInit:
    """Initialise a network as megvii-model/ShuffleNet-Series does, where another init has said nothing.

    Normal distributions around 0: standard deviation 0.01 in the stem and the fully connected layer, elsewhere one over
    the input channels of a group, so 1 in a depthwise convolution. Batch norms start at weight 1 and bias 0.0001.
    """

    def __call__(self, module: nn.Module) -> None:
        """Set all parameters of the module, in place."""
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0, 0.01 if 'conv1.0' in name else 1 / layer.weight.shape[1])
            elif isinstance(layer, BatchNorm):
                nn.init.constant_(layer.weight, 1)
                nn.init.constant_(layer.bias, 0.0001)
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if logs_initialization(module):  # MMEngine logs where each value comes from
            update_init_info(module, init_info='AuthorsInit')
