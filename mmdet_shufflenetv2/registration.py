"""Everything that a config can name, registered by name: a dumped config of another machine must load here.

First the ground is prepared: mmdet cannot be imported on today's PyTorch before that, and checkpoints are read safely
from then on.
"""

from .compat import prepare

prepare()

from .checkpoints import guard  # noqa: E402 - after the ground is prepared, as all that follows

guard.install()

from .compat import json_handler as json_handler  # noqa: E402
from .data import shapes as shapes  # noqa: E402
from .evaluation import coco_metric as coco_metric  # noqa: E402
from .models import classification as classification  # noqa: E402
from .models import light_head as light_head  # noqa: E402
from .models import nanodet as nanodet  # noqa: E402
from .models.backbones import FeatureInfo as FeatureInfo  # noqa: E402
from .models.backbones import ShuffleNetV2 as ShuffleNetV2  # noqa: E402
from .training import fault_tolerance as fault_tolerance  # noqa: E402
from .training import patience as patience  # noqa: E402
from .visualization import visualizer as visualizer  # noqa: E402
