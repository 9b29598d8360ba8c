"""Registers everything that a config can refer to, so that configs dumped on another machine can be loaded.

The patches come first: without them, mmdet cannot be imported on current PyTorch. From then on, checkpoints are read
safely.
"""

from .compat import prepare

prepare()

from .checkpoints import guard  # noqa: E402 - like all imports below, after the patches

guard.install()

from .compat import json_handler as json_handler  # noqa: E402
from .data import loss_targets as loss_targets  # noqa: E402
from .data import shapes as shapes  # noqa: E402
from .evaluation import coco_metric as coco_metric  # noqa: E402
from .models import classification as classification  # noqa: E402
from .models import light_head as light_head  # noqa: E402
from .models import nanodet as nanodet  # noqa: E402
from .models.backbones import FeatureInfo as FeatureInfo  # noqa: E402
from .models.backbones import ShuffleNetV2 as ShuffleNetV2  # noqa: E402
from .training import fault_tolerance as fault_tolerance  # noqa: E402
from .training import patience as patience  # noqa: E402
from .training import validation_loss as validation_loss  # noqa: E402
from .visualization import visualizer as visualizer  # noqa: E402
