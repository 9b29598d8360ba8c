import sys
from importlib.util import module_from_spec, spec_from_file_location

import mmcv.ops
import pytest

from mmdet_shufflenetv2.compat.placeholders import replace_placeholders

IMPORTED_EARLY = """
try:
    from mmcv.ops import DeformConv2d, batched_nms as suppress
except ImportError:
    class DeformConv2d:
        def __init__(self, *args):
            raise RuntimeError('reinstall')

    def suppress(*args):
        raise RuntimeError('reinstall')
"""


@pytest.fixture
def imported_early(tmp_path, monkeypatch):
    """Import text as a module ``mmdet.NAME`` while mmcv has no operators."""

    def load(name, text):
        (tmp_path / f'{name}.py').write_text(text)
        spec = spec_from_file_location(f'mmdet.{name}', tmp_path / f'{name}.py')
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        with monkeypatch.context() as without:
            without.setitem(sys.modules, 'mmcv.ops', None)
            spec.loader.exec_module(module)
        return module

    return load


def test_placeholders_are_replaced_by_the_operators(imported_early):
    early = imported_early('early_head', IMPORTED_EARLY)
    user = imported_early('early_user', 'from mmdet.early_head import suppress as renamed')
    with pytest.raises(RuntimeError):
        user.renamed()
    replace_placeholders()
    assert early.DeformConv2d is mmcv.ops.DeformConv2d
    assert early.suppress is user.renamed is mmcv.ops.batched_nms


def test_the_error_for_a_subclass_of_a_placeholder_says_what_to_do(imported_early):
    imported_early('early_head', IMPORTED_EARLY + '\n\nclass Derived(DeformConv2d):\n    pass\n')
    with pytest.raises(ImportError, match='mmdet.early_head.*mport mmdet_shufflenetv2 first.*run SCRIPT'):
        replace_placeholders()
