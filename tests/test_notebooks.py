"""The notebooks run from the first cell to the last, with fewer epochs."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT, SHARED

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')
pytest.importorskip('ipykernel')

NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.ipynb'))


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    notebook = nbformat.read(path, as_version=4)
    source = '\n'.join(cell.source for cell in notebook.cells)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    if 'nanodet-plus-m-320' in source:
        weights = SHARED / 'weights' / 'nanodet_plus_m_320.pth'
        if not weights.exists():
            pytest.skip('needs the published weights')
        download = ['-m', 'mmdet_shufflenetv2', 'download', 'nanodet-plus-m-320', '--from', weights]
        subprocess.run([sys.executable, *download], check=True, capture_output=True)
    for cell in notebook.cells:
        cell.source = cell.source.replace('epochs = 11', 'epochs = 1').replace('epochs = 12', 'epochs = 1')
    nbclient.NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert all(output.output_type != 'error' for cell in notebook.cells for output in cell.get('outputs', []))


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_no_outputs(path):
    assert not [cell for cell in nbformat.read(path, as_version=4).cells if cell.get('outputs')]
