import pytest
import torch

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.guidelines.networks import bottlenecks, fragmented, grouped, random_input
from mmdet_shufflenetv2.paper.guidelines.runtimes import check_runtime, make_call, onnx_session

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    'network', [bottlenecks(8, relu=True, shortcut=True), grouped(8, 4), fragmented(8, 2, parallel=True)]
)
def test_both_runtimes_compute_the_same_output(network):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    x = random_input(network)
    [out] = make_call('onnxruntime', network, x)()
    torch.testing.assert_close(torch.from_numpy(out), make_call('torch', network, x)(), rtol=1e-3, atol=1e-5)


def test_onnxruntime_uses_the_number_of_threads_of_pytorch():
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    network, before = grouped(4, 1), torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            options = onnx_session(network, random_input(network)).get_session_options()
            assert options.intra_op_num_threads == threads
            assert options.get_session_config_entry('session.intra_op.allow_spinning') == '0'
    finally:
        torch.set_num_threads(before)


def test_a_runtime_that_is_not_installed_is_reported(monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.paper.guidelines.runtimes.find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install onnx onnxruntime'):
        check_runtime('onnxruntime', CPU)
    check_runtime('torch', CPU)


def test_an_unknown_runtime_or_one_on_the_wrong_device_is_reported():
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    with pytest.raises(UserError, match='cuda:1.*device=cpu'):
        check_runtime('onnxruntime', torch.device('cuda:1'))
    with pytest.raises(UserError, match='runtime=tvm .*torch or onnxruntime'):
        check_runtime('tvm', CPU)
