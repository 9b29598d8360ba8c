"""The import finder for ``mmcv._ext``, tested in new interpreters."""

import subprocess
import sys
import textwrap

import pytest
from conftest import ROOT

from mmdet_shufflenetv2 import compat


def run(code: str, *first_on_path: object) -> subprocess.CompletedProcess:
    path = ''.join(f'sys.path.insert(0, {str(entry)!r})\n' for entry in first_on_path)
    return subprocess.run(
        [sys.executable, '-c', f'import sys\n{path}{textwrap.dedent(code)}'],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')
def test_the_extension_is_a_real_module_that_mmengine_finds():
    import pkgutil

    import mmcv._ext
    from mmcv.utils.ext_loader import check_ops_exist

    assert mmcv._ext.__spec__.name == 'mmcv._ext'
    assert check_ops_exist()
    assert pkgutil.find_loader('mmcv._ext') is not None
    assert not hasattr(mmcv._ext, '__no_such_dunder__')


def test_calling_prepare_again_changes_nothing():
    before = list(sys.meta_path)
    compat.prepare()
    assert sys.meta_path == before


def test_finding_the_extension_imports_no_torch():
    done = run("""
        import importlib.machinery, importlib.util
        spec = importlib.util.spec_from_file_location('finder', 'mmdet_shufflenetv2/compat/ext_finder.py')
        finder = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(finder)
        found = finder.ServedExtFinder().find_spec('mmcv._ext')
        assert found.origin == finder.SERVED_EXT_ORIGIN
        assert 'torch' not in sys.modules
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_compiled_extension_takes_precedence(tmp_path):
    # Simulates compiled mmcv: the installed package with an additional _ext module.
    import mmcv

    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text(
        f'__path__.append({mmcv.__path__[0]!r})\nexec(open({mmcv.__file__!r}).read())\n'
    )
    (tmp_path / 'mmcv' / '_ext.py').write_text(
        textwrap.dedent("""
        def nms(*args):
            return 'compiled'

        def __getattr__(name):  # mmcv accesses every operator
            if name.startswith('__'):
                raise AttributeError(name)
            return nms
    """)
    )
    done = run(
        """
        import mmdet_shufflenetv2, mmcv._ext
        assert not mmdet_shufflenetv2.compat.ops_are_served()
        assert mmcv._ext.nms() == 'compiled'
    """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_the_import_error_without_mmcv_has_the_pip_command():
    done = run("""
        from importlib.machinery import PathFinder
        find = PathFinder.find_spec
        PathFinder.find_spec = lambda name, *args: None if name.split('.')[0] == 'mmcv' else find(name, *args)
        import mmdet_shufflenetv2
    """)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('ImportError')
    assert "pip install 'mmcv-lite" in last


def test_mmdet_can_be_imported_before_the_package():
    """This is an error with the original packages. Forks define placeholders for the operators."""
    done = run("""
        try:
            import mmdet.models
        except ImportError as error:
            assert error.name == 'mmcv._ext', error
        import mmdet_shufflenetv2, mmcv.ops
        from mmdet.models.layers import bbox_nms
        from mmdet.models.detectors import deformable_detr
        assert bbox_nms.batched_nms is mmcv.ops.batched_nms
        assert deformable_detr.MultiScaleDeformableAttention is mmcv.ops.MultiScaleDeformableAttention
    """)
    assert done.returncode == 0, done.stderr
