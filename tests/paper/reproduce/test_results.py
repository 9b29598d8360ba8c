import pytest
from conftest import ROOT

from mmdet_shufflenetv2.paper.reproduce.folder import write_json
from mmdet_shufflenetv2.paper.reproduce.results import provenance, report, table
from mmdet_shufflenetv2.paper.reproduce.rows import ROWS, Row

IMAGENET, COCO = Row('imagenet', 1.0), Row('coco', 1.0, 'star')


def ran(images):
    return dict(images=images, machine='GPU', torch='2.9', date='2026-01-31')


RESULTS = {
    IMAGENET: dict(
        row=IMAGENET.name,
        config=IMAGENET.config,
        pretrain=False,
        weights=None,
        values=dict(top1_error=30.44),
        classifier_config=IMAGENET.classifier_config,
        steps=dict(train=ran(1281167), test=ran(50000)),
    ),
    COCO: dict(
        row=COCO.name,
        config=COCO.config,
        pretrain=True,
        weights=None,
        values=dict(mmap=29.66),
        classifier_config=COCO.classifier_config,
        steps=dict(pretrain=ran(1281167), train=ran(117266), test=ran(5000)),
    ),
}


def test_the_table_shows_published_and_obtained_figures_and_those_not_run():
    assert table([(COCO, RESULTS[COCO])]).splitlines()[2:] == [
        '| ShuffleNet V2* 1.0x | mmAP % | 29.6 | 29.7 |  |',
        '| ShuffleNet V2* 1.0x | img/s | 138 |  | not run |',
    ]
    assert table([(IMAGENET, None)]).splitlines()[2:] == ['| ShuffleNet V2 1.0x | top-1 error % | 30.6 |  | not run |']


def test_evaluated_weights_are_shown_without_a_training():
    given = RESULTS[IMAGENET] | dict(weights='/somewhere/theirs.pth', steps=dict(test=ran(50000)))
    assert table([(IMAGENET, given)]).endswith('| 30.6 | 30.4 (weights given) | training |')
    assert provenance(given) == (
        'imagenet_1.0x: shufflenet_v2_1.0x.py, weights of theirs.pth, tested on 50,000, GPU, PyTorch 2.9, 2026-01-31.'
    )


def test_the_page_counts_the_figures_that_were_not_run(tmp_path):
    page = report(tmp_path)
    assert 'All 25 figures have never' in page
    assert page.count('not run |\n') == 25 + 3  # and in three headings
    for row, result in RESULTS.items():
        write_json(tmp_path / row.name / 'result.json', result)
    page = report(tmp_path)
    assert '23 of 25 figures have never' in page
    assert '| ShuffleNet V2 1.0x | top-1 error % | 30.6 | 30.4 |  |' in page
    assert '* coco_star_1.0x: light_head_rcnn_snv2_star.py, pre-trained by shufflenet_v2_star_1.0x.py' in page


@pytest.mark.parametrize(
    ('row', 'other'),
    [
        (IMAGENET, dict(config='configs/my_own.py')),
        (IMAGENET, dict(steps=dict(train=ran(1281167), test=ran(50)))),
        (IMAGENET, dict(steps=dict(train=ran(50), test=ran(50000)))),
        (COCO, dict(classifier_config='configs/my_own.py')),
        (COCO, dict(steps=dict(pretrain=ran(50), train=ran(117266), test=ran(5000)))),
        (COCO, dict(steps={})),
    ],
)
def test_a_run_with_other_configs_or_data_is_not_part_of_the_table(tmp_path, row, other):
    write_json(tmp_path / 'x' / 'result.json', RESULTS[row] | other)
    assert 'All 25 figures' in report(tmp_path)


def test_a_step_that_ran_on_another_machine_is_marked():
    steps = RESULTS[COCO]['steps']
    other = dict(
        train=steps['train'] | dict(machine='two GPUs', date='2026-01-20'),
        speed=ran(None) | dict(machine='GTX 1080 Ti'),
    )
    assert provenance(RESULTS[COCO] | dict(steps=steps | other)) == (
        'coco_star_1.0x: light_head_rcnn_snv2_star.py, pre-trained by shufflenet_v2_star_1.0x.py on 1,281,167 images, '
        'trained on 117,266 images (two GPUs, PyTorch 2.9, 2026-01-20), tested on 5,000, timed separately '
        '(GTX 1080 Ti, PyTorch 2.9, 2026-01-31), GPU, PyTorch 2.9, 2026-01-31.'
    )


def test_the_projects_page_is_up_to_date(tmp_path):
    assert (ROOT / 'docs' / 'results.md').read_text() == report(tmp_path)


@pytest.mark.parametrize('row', ROWS, ids=lambda row: row.name)
def test_every_row_is_on_the_page(tmp_path, row):
    page = report(tmp_path)
    for cell in row.cells.values():
        assert f'| {row.network} | {cell.quantity} | {cell.published} |' in page
