"""Compilation with OpenVINO, and its effect on signal handlers."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip('openvino', reason='needs openvino: pip install openvino')

from mmdet_shufflenetv2.deploy.targets.openvino import compile_for_cpu


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / 'graph.onnx'
    conv = nn.Conv2d(3, 8, 3)
    torch.onnx.export(
        conv,
        (torch.rand(1, 3, 8, 8),),
        path,
        dynamo=False,
        dynamic_axes={'x': {2: 'h', 3: 'w'}},
        input_names=['x'],
        output_names=['y'],
    )
    return conv, path


@pytest.mark.parametrize('options', [dict(), dict(threads=1), dict(shape=(1, 3, 9, 7))])
def test_compiled_graph_matches_the_network(graph, options):
    conv, path = graph
    x = torch.rand(1, 3, 9, 7)
    out = compile_for_cpu(path, **options)(x.numpy())[0]
    np.testing.assert_allclose(out, conv(x).detach().numpy(), atol=1e-5)


@pytest.mark.slow
def test_signal_stack_survives_the_release_of_models(graph):
    code = f"""
import gc, signal, subprocess
from pathlib import Path
from mmdet_shufflenetv2.deploy.targets.openvino import compile_for_cpu
first, second = (compile_for_cpu(Path({str(graph[1])!r})) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *args: None)
subprocess.run(['true'])
"""
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
