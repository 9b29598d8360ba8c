import pytest
import torch

from mmdet_shufflenetv2.models.classification import TopKAccuracy


def evaluate(metric, logits, labels, size=None, batch=7):
    for start in range(0, len(labels), batch):
        metric.process(None, (logits[start : start + batch], labels[start : start + batch]))
    return metric.evaluate(size or len(labels))


def test_accuracy_equals_a_plain_loop():
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 12), torch.randint(12, (50,))
    expected = {}
    for k in (1, 5):
        right = sum(
            int(label) in sorted(range(12), key=row.tolist().__getitem__)[-k:] for row, label in zip(logits, labels)
        )
        expected[f'accuracy/top{k}'] = 100 * right / 50
    assert evaluate(TopKAccuracy(), logits, labels) == pytest.approx(expected)
    assert 0 < expected['accuracy/top1'] < expected['accuracy/top5'] < 100


def test_padding_of_the_last_batch_does_not_count():
    logits = torch.eye(4)
    labels = torch.tensor([0, 1, 3, 3])
    assert evaluate(TopKAccuracy(), logits, labels)['accuracy/top1'] == 75
    assert evaluate(TopKAccuracy(), logits, labels, size=2)['accuracy/top1'] == 100


def test_with_fewer_classes_than_k_every_image_is_correct():
    assert evaluate(TopKAccuracy(), torch.randn(9, 3), torch.zeros(9, dtype=torch.long))['accuracy/top5'] == 100
