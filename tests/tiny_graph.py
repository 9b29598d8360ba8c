"""A fast exported detector for tests: it detects one dog in every image."""

import onnx
from onnx import TensorProto, helper

ABOUT = {
    'mmdet_shufflenetv2': '0',
    'classes': '["cat", "dog"]',
    'resize': '{"scale": [64, 48], "keep_ratio": true, "cut": false}',
}


def write(path, about=ABOUT):
    """A graph with one detection: a box as large as the image, of class 1."""
    inputs = [helper.make_tensor_value_info('image', TensorProto.UINT8, ['height', 'width', 3])]
    outputs = [
        helper.make_tensor_value_info('dets', TensorProto.FLOAT, [1, 5]),
        helper.make_tensor_value_info('labels', TensorProto.INT64, [1]),
    ]
    constants = [
        helper.make_tensor('zeros', TensorProto.FLOAT, [2], [0, 0]),
        helper.make_tensor('score', TensorProto.FLOAT, [1], [0.75]),
        helper.make_tensor('one', TensorProto.INT64, [1], [1]),
        helper.make_tensor('order', TensorProto.INT64, [2], [1, 0]),
        helper.make_tensor('row', TensorProto.INT64, [2], [1, 5]),
    ]
    nodes = [
        helper.make_node('Shape', ['image'], ['shape'], end=2),
        helper.make_node('Gather', ['shape', 'order'], ['size']),
        helper.make_node('Cast', ['size'], ['corner'], to=TensorProto.FLOAT),
        helper.make_node('Concat', ['zeros', 'corner', 'score'], ['flat'], axis=0),
        helper.make_node('Reshape', ['flat', 'row'], ['dets']),
        helper.make_node('Identity', ['one'], ['labels']),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, 'one', inputs, outputs, constants),
        ir_version=9,
        opset_imports=[helper.make_opsetid('', 17)],
    )
    helper.set_model_props(model, about)
    onnx.save(model, path)
    return path
