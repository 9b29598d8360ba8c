import copy
import copyreg
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints.guard import _guarded
from mmdet_shufflenetv2.checkpoints.safe_loading import UnsafeCheckpointError, load


def save_as_mmengine_does(checkpoint, path):
    """Without our rule for HistoryBuffer: pickled with its methods, by way of builtins.getattr."""
    ours = copyreg.dispatch_table.pop(HistoryBuffer)
    try:
        torch.save(checkpoint, path)
    finally:
        copyreg.pickle(HistoryBuffer, ours)


def globals_in(path):
    """Names in the pickle inside a checkpoint: an independent reading of it."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith('data.pkl')))
    return {arg.replace(' ', '.') for op, arg, _ in pickletools.genops(data) if op.name == 'GLOBAL'}


def history(values=(1.5, 2.25, 3.0)):
    return HistoryBuffer(list(values), [1, 2, 1][:len(values)], max_length=7)


def assert_same_history(a, b):
    assert type(a) is HistoryBuffer
    for ours, theirs in zip(a.data, b.data, strict=True):
        assert type(ours) is np.ndarray
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert a.max_length == b.max_length
    assert a.mean() == b.mean()
    a.update(4.0)


def test_other_peoples_mmengine_checkpoints_are_read(tmp_path):
    theirs = dict(
        state_dict=OrderedDict(weight=torch.ones(2)),
        message_hub=dict(log_scalars=OrderedDict(loss=history()),
                         runtime_info=dict(best=np.float64(0.5), epoch=np.int64(3), flags=np.array([[True, False]]))),
        fortran=np.asfortranarray(np.arange(6.).reshape(2, 3)), big_endian=np.array([1, 2], '>i4'))
    path = tmp_path / 'theirs.pth'
    save_as_mmengine_does(theirs, path)
    assert {'__builtin__.getattr', 'mmengine.logging.history_buffer.HistoryBuffer'} <= globals_in(path)
    for read in (load(path), _load_checkpoint(str(path), map_location='cpu')):
        assert_same_history(read['message_hub']['log_scalars']['loss'], history())
        info = read['message_hub']['runtime_info']
        assert (info['best'], info['epoch'], info['flags'].tolist()) == (0.5, 3, [[True, False]])
        assert type(info['best']) is np.float64
        assert np.array_equal(read['fortran'], theirs['fortran'])
        assert read['big_endian'].tolist() == [1, 2]
        assert type(read['state_dict']) is OrderedDict


def test_our_checkpoints_hold_no_code(tmp_path):
    path = tmp_path / 'ours.pth'
    torch.save(dict(log=history(), again=history()), path)
    names = globals_in(path)
    assert {name for name in names if not name.startswith(('torch', 'collections'))} == {
        'mmengine.logging.history_buffer.HistoryBuffer'}
    assert_same_history(load(path)['log'], history())


def test_a_history_can_still_be_copied():
    assert_same_history(copy.deepcopy(history()), history())


class Calls:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class NamesGetattr:
    """What a forger writes: HistoryBuffer's stored getattr, aimed elsewhere."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def bent_history():
    bent = history()
    bent._statistics_methods = {'mean': NamesGetattr()}
    return bent


@pytest.mark.parametrize(('evil', 'named'), [
    (lambda mark: Calls(os.system, f'touch {mark}'), 'posix.system'),
    (lambda mark: Calls(eval, f'open({str(mark)!r}, "w")'), 'eval'),
    (lambda mark: Calls(exec, f'open({str(mark)!r}, "w")'), 'exec'),
    (lambda mark: Calls(getattr, os.path.join, '__globals__'), 'getattr|join'),
    (lambda mark: Calls(Calls(getattr, HistoryBuffer, '__init__').function, HistoryBuffer, '__reduce__'), 'getattr'),
    (lambda mark: [NamesGetattr()], 'getattr'),
    (lambda mark: {'log': bent_history()}, 'method'),
    (lambda mark: Calls(open, str(mark), 'w'), 'open'),
    (lambda mark: np.array([{'an': 'object'}], dtype=object), "'O8'"),
    (lambda mark: np.array(['text']), "'U4'"),
    (lambda mark: {1, np.float64(2)}, 'scalar'),
])
def test_a_file_that_names_code_is_refused_and_nothing_runs(evil, named, tmp_path):
    mark, path = tmp_path / 'it-ran', tmp_path / 'evil.pth'
    save_as_mmengine_does({'state_dict': {}, 'extra': evil(mark)}, path)
    for read in (lambda: load(path), lambda: load_checkpoint(torch.nn.Linear(1, 1), str(path))):
        with pytest.raises(UnsafeCheckpointError, match=named) as error:
            read()
        assert 'evil.pth is refused' in str(error.value)
    assert not mark.exists()


def test_it_is_refused_in_the_old_format_too(tmp_path):
    path = tmp_path / 'evil.pth'
    path.write_bytes(pickle.dumps({'state_dict': Calls(os.system, f'touch {tmp_path / "it-ran"}')}, protocol=2))
    with pytest.raises(UserError, match='evil.pth'):
        load(path)
    assert not (tmp_path / 'it-ran').exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 cut off', bytes(range(256)) * 8])
def test_a_file_that_is_no_checkpoint_is_named(content, tmp_path):
    path = tmp_path / 'photo.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match='photo.pth is no PyTorch checkpoint'):
        load(path)


@pytest.mark.parametrize('opened', [False, True])
def test_an_archive_that_unfolds_into_gigabytes_is_refused_before_it_does(opened, tmp_path):
    whole, bomb = tmp_path / 'whole.pth', tmp_path / 'bomb.pth'
    torch.save(dict(x=torch.zeros(2_000_000)), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert bomb.stat().st_size < 100_000
    with open(bomb, 'rb') as file, pytest.raises(UnsafeCheckpointError, match='more than its size'):
        load(file if opened else bomb)
    with open(whole, 'rb') as file:
        assert load(file if opened else whole)['x'].shape == (2_000_000, )


@pytest.mark.parametrize('nest', [lambda inner: (inner, inner), lambda inner: [inner, inner],
                                  lambda inner: dict(a=inner, b=inner)])
def test_what_is_nested_into_billions_of_parts_is_read_once(nest, tmp_path):
    nested = nest(torch.ones(1))
    for _ in range(60):
        nested = nest(nested)
    torch.save(nested, tmp_path / 'nested.pth')
    load(tmp_path / 'nested.pth')


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save({'weight': torch.rand(100, 100)}, path)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(UserError, match='cut.pth is no PyTorch checkpoint, or a damaged one'):
        load(path)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match='There is no checkpoint nowhere.pth'):
        _load_checkpoint('nowhere.pth')


def test_what_a_user_has_allowed_stays_allowed_and_ours_does_not_leak(tmp_path):
    path = tmp_path / 'own.pth'
    torch.save({'x': Allowed()}, path)
    with pytest.raises(UnsafeCheckpointError, match='Allowed'):
        load(path)
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Allowed])
    try:
        assert type(load(path)['x']) is Allowed
        assert set(torch.serialization.get_safe_globals()) == {*before, Allowed}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


class Allowed:
    pass


def test_downloads_go_through_the_safe_unpickler(tmp_path, monkeypatch, http_folder):
    folder, url = http_folder
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    save_as_mmengine_does({'log': history(), 'weight': torch.ones(3)}, folder / 'good.pth')
    torch.save({'weight': Calls(os.system, f'touch {tmp_path / "it-ran"}')}, folder / 'evil.pth')
    assert_same_history(_load_checkpoint(f'{url}/good.pth')['log'], history())
    with pytest.raises(UnsafeCheckpointError, match='posix.system'):
        _load_checkpoint(f'{url}/evil.pth')
    assert not (tmp_path / 'it-ran').exists()


def test_without_a_network_the_error_says_what_to_fetch_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    for proxy in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.setenv(proxy, 'http://127.0.0.1:9')  # nobody listens there
    with pytest.raises(UserError) as error:
        _load_checkpoint('torchvision://shufflenet_v2_x1_0.imagenet1k_v1')
    message = str(error.value)
    assert 'cannot be downloaded' in message
    assert 'shufflenetv2_x1-5666bf0f80.pth where there is a network' in message
    assert str(tmp_path / 'cache' / 'hub' / 'checkpoints' / 'shufflenetv2_x1-5666bf0f80.pth') in message
    assert 'init_cfg' not in message  # whose weights these are is not known here


def test_unknown_weights_of_torchvision_are_named_with_what_is_near():
    with pytest.raises(UserError, match=r'shufflenet_v2_x1_0\.imagenet1k_v1'):
        _load_checkpoint('torchvision://shufflenet_v2_x1_0.imagenet1k_v7')


# Spelled so that a search for it finds no place where it is meant.
NO_CHECK = {'weights' + '_only': False}


def test_a_loader_that_would_allow_more_is_not_let(tmp_path, monkeypatch):
    # What the fork of MMEngine does: first a list of its own with getattr in it, then no check at all.
    def lax_loader(filename, map_location=None):
        torch.serialization.add_safe_globals([getattr])
        try:
            return torch.load(filename, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError:
            return torch.load(filename, map_location=map_location, **NO_CHECK)

    monkeypatch.setattr(CheckpointLoader, '_schemes', {'': _guarded(lax_loader)})
    path, before = tmp_path / 'evil.pth', torch.serialization.get_safe_globals()
    load_before = torch.load
    try:
        for evil, named in ((NamesGetattr(), 'getattr'), (Calls(os.system, f'touch {tmp_path / "it-ran"}'), 'system')):
            torch.save({'state_dict': evil}, path)
            with pytest.raises(UnsafeCheckpointError, match=named):
                _load_checkpoint(str(path))
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
    assert not (tmp_path / 'it-ran').exists()
    assert torch.load is load_before


def test_every_scheme_of_mmengine_is_guarded():
    assert len(CheckpointLoader._schemes) >= 8
    assert all(hasattr(loader, '__wrapped__') for loader in CheckpointLoader._schemes.values())


def test_the_config_that_mmengine_would_run_on_resuming_is_left_out(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(meta=dict(config='import os', cfg='model = 1', iter=3), state_dict={}), path)
    assert _load_checkpoint(str(path))['meta'] == dict(cfg='model = 1', iter=3)
