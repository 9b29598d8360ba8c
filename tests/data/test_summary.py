from mmdet_shufflenetv2.data.layouts.find import read_user_dataset
from mmdet_shufflenetv2.data.summary import summary


def test_images_boxes_and_sizes_are_counted(layout):
    data = read_user_dataset(layout('yolo'))
    annotations = {name: split.annotations['annotations'] for name, split in data.splits.items()}
    lines = summary(data).splitlines()
    assert lines[0] == f'YOLO format in {data.root}, 5 classes'
    assert lines[1].split()[:4] == ['train', '12', 'images', str(len(annotations['train']))]
    for number, name in enumerate(data.classes, start=1):
        counts = [sum(a['category_id'] == number for a in of) for of in annotations.values()]
        assert lines[3 + number].split() == [name, *map(str, counts)]


def test_many_classes_are_abbreviated_and_notes_are_shown(layout):
    data = read_user_dataset(layout('yolo'))
    data.classes = tuple(f'class {number}' for number in range(100))
    for split in data.splits.values():
        split.annotations['categories'] = [dict(id=n, name=name) for n, name in enumerate(data.classes, start=1)]
    data.notes.append('something')
    text = summary(data)
    assert '... and 70 more' in text
    assert text.endswith('note: something')
