import json


def test_command_writes_a_report(tool, shapes_root, tmp_path):
    annotations = shapes_root / 'annotations' / 'instances_val2017.json'
    perfect = [
        dict(image_id=one['image_id'], category_id=one['category_id'], bbox=one['bbox'], score=0.9)
        for one in json.loads(annotations.read_text())['annotations']
    ]
    (tmp_path / 'r.json').write_text(json.dumps(perfect))
    ended = tool(
        'analyze.py',
        tmp_path / 'r.json',
        '--ann',
        annotations,
        '--images',
        shapes_root / 'val2017',
        '--out',
        tmp_path / 'report.html',
    )
    assert ended.status == 0, ended.err
    assert 'mmAP 1.000, AP50 1.000' in ended.out
    assert (tmp_path / 'report.html').is_file()
    refused = tool('analyze.py', annotations, '--ann', annotations, '--images', shapes_root / 'val2017')
    assert refused.status == 2
    assert refused.err.startswith('error: ')
    (tmp_path / 'r.json').write_text('[{"score": "high"}]')
    refused = tool('analyze.py', tmp_path / 'r.json', '--ann', annotations, '--images', shapes_root / 'val2017')
    assert refused.status == 2
    assert 'entry 0 is not a detection' in refused.err
    assert len(refused.err.splitlines()) == 1


def test_reads_windows_annotations_with_ids_from_0(tool, shapes_root, tmp_path):
    content = json.loads((shapes_root / 'annotations' / 'instances_val2017.json').read_text())
    for number, one in enumerate(content['annotations']):
        one['id'] = number
    for image in content['images']:
        image['file_name'] = f'val2017\\{image["file_name"]}'
    (tmp_path / 'a.json').write_bytes(b'\xef\xbb\xbf' + json.dumps(content).encode())
    found = [
        dict(image_id=one['image_id'], category_id=one['category_id'], bbox=one['bbox'], score=0.9)
        for one in content['annotations']
    ]
    found.append(dict(found[0], bbox=[0, 0, 5, 5], score=0.1))  # a mistake, whose image is shown
    (tmp_path / 'r.json').write_text(json.dumps(found))
    ended = tool(
        'analyze.py',
        tmp_path / 'r.json',
        '--ann',
        tmp_path / 'a.json',
        '--images',
        shapes_root,
        '--score-thr',
        0.05,
        '--out',
        tmp_path / 'report.html',
    )
    assert ended.status == 0, ended.err
    assert 'mmAP 1.000, AP50 1.000' in ended.out
