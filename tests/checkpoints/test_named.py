"""Published weights by name, from a local server instead of the authors' servers."""

import hashlib
import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from test_nanodet_layout import nanodet, prefixed
from torchvision import models

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.checkpoints.download import DownloadError
from mmdet_shufflenetv2.checkpoints.named import WEIGHTS, fetch_weights, named_weights
from mmdet_shufflenetv2.checkpoints.nanodet_layout import _variant
from mmdet_shufflenetv2.cli import main
from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.resolve import resolve
from mmdet_shufflenetv2.inference.models import Model, find_models
from mmdet_shufflenetv2.models.build import build_model

M, PLUS, CLASSIFIER = 'nanodet-m-320', 'nanodet-plus-m-416', 'shufflenet-v2-1.0x'
EMPTY = ['.download.lock']


def saved(weights):
    file = io.BytesIO()
    torch.save({'state_dict': prefixed('model.', weights)}, file)
    return file.getvalue()


CONTENT = {
    M: saved(nanodet()),
    PLUS: saved(nanodet(levels=4, plus=True)),
    CLASSIFIER: saved({'fc.bias': torch.ones(9)}),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder, empty, outside of the current folder."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def server(bad_server, cache, monkeypatch):
    """A server of published weights, with files of the right variants and the classifier's own checksum."""
    for name, content in CONTENT.items():
        files = list(WEIGHTS[name].files)
        if name == CLASSIFIER:
            files = [f'classifier-{hashlib.sha256(content).hexdigest()[:8]}.pth']
        monkeypatch.setitem(
            WEIGHTS, name, WEIGHTS[name]._replace(files={file: f'{bad_server.url}/{file}' for file in files})
        )
        bad_server.files |= {f'/{file}': content for file in files}
    return bad_server


@pytest.fixture
def offline(cache, monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.utils.download.FIRST_WAIT', 0.0)
    for name in WEIGHTS:
        monkeypatch.setitem(
            WEIGHTS,
            name,
            WEIGHTS[name]._replace(files={file: f'http://127.0.0.1:1/{file}' for file in WEIGHTS[name].files}),
        )


@pytest.mark.parametrize('name', CONTENT)
@pytest.mark.parametrize('faults', [[], ['cut', 503]])
def test_weights_are_downloaded_once_and_resumed_after_a_lost_connection(server, cache, name, faults):
    file = next(iter(WEIGHTS[name].files))
    server.faults[f'/{file}'] = list(faults)
    assert fetch_weights(name) == cache / file
    assert (cache / file).read_bytes() == CONTENT[name]
    half = [None, *[f'bytes={len(CONTENT[name]) // 2}-'] * 2] if faults else [None]
    assert named_weights(name) == str(cache / file)
    assert [wanted for _, wanted in server.requests] == half
    assert sorted(os.listdir(cache)) == [*EMPTY, file]


def test_concurrent_requests_download_the_same_weights_once(server):
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(fetch_weights, [M] * 4))) == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize('fault', [404, 'web page', 'HTML', 'corrupt'])
def test_the_second_address_is_used_if_the_first_fails(server, cache, fault):
    first, second = WEIGHTS[PLUS].files
    server.faults[f'/{first}'] = [fault]
    assert fetch_weights(PLUS) == cache / second
    assert load_config(PLUS).filename.endswith('nanodet_plus_m_snv2_416.py')
    assert named_weights(PLUS) == str(cache / second)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ('name', 'content', 'faults', 'words'),
    [
        (M, None, [404], '404'),
        (M, None, ['web page'], 'web page'),
        (M, None, [500] * 3, '500 .*3 attempts'),
        (M, b'words', [], 'PyTorch checkpoint'),
        (M, CONTENT[PLUS], [], 'is not nanodet-m-320: .*NanoDet-Plus .*4 levels'),
        (M, CONTENT[CLASSIFIER], [], 'is not nanodet-m-320: .*no NanoDet weights'),
        (M, saved(nanodet(num_classes=5)), [], 'is not nanodet-m-320: .*80 classes.* 5 classes'),
        (CLASSIFIER, CONTENT[M], [], 'SHA-256'),
    ],
)
def test_a_failed_download_is_reported_with_the_command_and_not_kept(server, cache, name, content, faults, words):
    path = f'/{next(iter(WEIGHTS[name].files))}'
    server.faults[path] = faults
    server.files[path] = content or CONTENT[name]
    with pytest.raises(DownloadError, match=f'{name} .*{cache} .*cannot be downloaded: .*{words}') as error:
        fetch_weights(name)
    assert str(error.value).endswith(f'snv2 download {name} --from FILE')
    assert str(error.value).count('\n') == 1
    assert error.value.filename == name
    assert os.listdir(cache) == EMPTY


def test_a_local_file_replaces_the_download(offline, cache, tmp_path, capsys):
    (tmp_path / 'a.ckpt').write_bytes(CONTENT[M])
    main(['download', M, '--from', str(tmp_path / 'a.ckpt')])
    assert capsys.readouterr().out == f'{cache}/nanodet-m-320.pth\n'
    assert (cache / 'nanodet-m-320.pth').read_bytes() == CONTENT[M]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['nanodet-plus-m-415'], 'nanodet-plus-m-415.*: nanodet-plus-m-416, '),
        (['yolo'], 'yolo.*: nanodet-m-320, '),
        ([M], 'nanodet-m-320 .* no connection '),
        ([M, '--from', 'nowhere.pth'], 'nowhere.pth'),
        ([M, '--from', '.'], 'PyTorch checkpoint'),
        ([M, '--from', 'words.pth'], 'PyTorch checkpoint'),
        ([M, '--from', 'plus.pth'], 'plus.pth is not nanodet-m-320'),
        ([CLASSIFIER, '--from', 'plus.pth'], 'SHA-256 .*5666bf0f80'),
        ([M, '--subset', '9'], '--subset'),
    ],
)
def test_a_mistake_exits_with_status_2_and_does_not_change_the_cache(offline, cache, arguments, words, capsys):
    Path('words.pth').write_bytes(b'words')
    Path('plus.pth').write_bytes(CONTENT[PLUS])
    with pytest.raises(SystemExit) as ended:
        main(['download', *arguments])
    assert ended.value.code == 2
    assert re.search(words, capsys.readouterr().err)
    assert not cache.exists() or os.listdir(cache) == EMPTY


def test_a_name_works_wherever_a_checkpoint_does(server, cache):
    cfg = load_config('nanodet-m-320')
    assert (cfg.load_from, cfg.work_dir) == (M, f'work_dirs/{M}')
    assert load_config(ROOT / 'configs' / 'nanodet_m_snv2.py').model == cfg.model
    assert load_config(M, {'load_from': 'other.pth'}).load_from == 'other.pth'
    assert not server.requests
    assert resolve(TrainOptions(M)).cfg.load_from == M
    wanted = nanodet()['head.gfl_cls.0.bias']
    for model in (Detector(M, device='cpu')._detect.model, build_model(cfg.model, M)):
        assert torch.equal(model.bbox_head.gfl_cls[0].bias.cpu(), wanted)
    assert 'state_dict' in CheckpointLoader.load_checkpoint(M)
    path = str(cache / 'nanodet-m-320.pth')
    assert find_models([M]) == {M: Model(None, path)}
    assert len(server.requests) == 1


def test_a_file_with_the_same_name_in_the_current_folder_comes_first(offline, cache):
    with open(M, 'wb') as file:
        file.write(CONTENT[M])
    assert named_weights(M) == M
    assert len(Detector(None, M, device='cpu').classes) == 80


@pytest.mark.parametrize(
    'call',
    [
        lambda: Detector('nanodet-m-32'),
        lambda: Detector(None, 'nanodet-m-32'),
        lambda: load_config('nanodet-m-32'),
        lambda: find_models(['nanodet-m-32']),
        lambda: CheckpointLoader.load_checkpoint('nanodet-m-32'),
        lambda: resolve(TrainOptions(M, cfg_options={'load_from': 'nanodet-m-32'})),
    ],
)
def test_an_unknown_name_is_reported_with_similar_ones(cache, call):
    with pytest.raises(UserError, match='nanodet-m-32[.:] .*nanodet-m-320, nanodet-plus-m-320'):
        call()


@pytest.mark.parametrize('name', WEIGHTS)
def test_published_weights_match_the_config_of_their_name(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{WEIGHTS[name].config}.py')
    if name.startswith('nanodet'):
        assert _variant(build_model(cfg.model).state_dict()) == WEIGHTS[name].variant
        assert WEIGHTS[name].config.endswith('_416') == name.endswith('416')
        return
    width = name.removeprefix('shufflenet-v2-').removesuffix('x')
    assert cfg.model.backbone.widen_factor == float(width)
    published = getattr(models, f'ShuffleNet_V2_X{width.replace(".", "_")}_Weights').IMAGENET1K_V1.url
    assert list(WEIGHTS[name].files.values()) == [published]


@pytest.mark.parametrize(
    ('file', 'weights', 'config'),
    [
        ('a.ckpt', nanodet(), 'nanodet_m_snv2'),
        ('nanodet_m_416.ckpt', nanodet(), 'nanodet_m_snv2_416'),
        ('a.pth', nanodet(levels=4, plus=True), 'nanodet_plus_m_snv2'),
        ('a_416x416.pth', nanodet(levels=4, plus=True, num_classes=5), 'nanodet_plus_m_snv2_416'),
        ('a.pth', nanodet((176, 352, 704), 128, levels=4, plus=True), 'nanodet_plus_m_snv2_1.5x'),
        ('416.pth', nanodet((176, 352, 704), 128, levels=4, plus=True), 'nanodet_plus_m_snv2_1.5x_416'),
        ('a.pth', nanodet((176, 352, 704), 128), 'nanodet_m_snv2_1.5x'),
        ('416.pth', nanodet((48, 96, 192)), 'nanodet_m_snv2_0.5x'),  # there is no config for 416
        ('a.pth', nanodet((24, 48, 96)), 'nanodet_m_snv2'),  # does not match, which loading reports
    ],
)
def test_the_config_of_a_file_is_chosen_by_its_weights_and_name(tmp_path, monkeypatch, file, weights, config):
    lines = []
    monkeypatch.setattr('mmdet_shufflenetv2.config.load.print_log', lambda message, *_: lines.append(message))
    (tmp_path / file).write_bytes(saved(weights))
    assert Path(load_config(tmp_path / file).filename).stem == config
    [line] = lines
    assert all(word in line for word in (config, str(tmp_path / file), 'NanoDet'))


@needs_shared('weights')
@pytest.mark.parametrize(
    'file', ['nanodet_m_320', 'nanodet_m_416', 'nanodet_plus_m_320', 'nanodet_plus_m_416', 'nanodet_plus_m_1.5x_416']
)
def test_the_published_files_are_accepted(offline, cache, file):
    name = file.replace('_', '-')
    fetch_weights(name, SHARED / 'weights' / f'{file}.pth')
    assert len(Detector(name, device='cpu').classes) == 80
