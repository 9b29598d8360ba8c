import argparse
import copy
import copyreg
import enum
import functools
import os
import pathlib
import pickle
import pickletools
import tarfile
import threading
import time
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, _load_checkpoint

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints import safe_loading
from mmdet_shufflenetv2.checkpoints.guard import _guarded, install
from mmdet_shufflenetv2.checkpoints.safe_loading import UnsafeCheckpointError, load
from mmdet_shufflenetv2.checkpoints.unpickler import Record


def save_as_mmengine_does(checkpoint, path):
    """Save without our reducer for HistoryBuffer: it is pickled with its methods, by builtins.getattr."""
    ours = copyreg.dispatch_table.pop(HistoryBuffer)
    try:
        torch.save(checkpoint, path)
    finally:
        copyreg.pickle(HistoryBuffer, ours)


def globals_in(path):
    """Names in the pickle inside a checkpoint, read independently."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith('data.pkl')))
    return {arg.replace(' ', '.') for op, arg, _ in pickletools.genops(data) if op.name == 'GLOBAL'}


def history(values=(1.5, 2.25, 3.0)):
    return HistoryBuffer(list(values), [1, 2, 1][: len(values)], max_length=7)


def assert_same_history(a, b):
    assert type(a) is HistoryBuffer
    for ours, theirs in zip(a.data, b.data, strict=True):
        assert type(ours) is np.ndarray
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert a.max_length == b.max_length
    assert a.mean() == b.mean()
    a.update(4.0)


def test_checkpoints_of_plain_mmengine_are_read(tmp_path):
    theirs = dict(
        state_dict=OrderedDict(weight=torch.ones(2)),
        message_hub=dict(
            log_scalars=OrderedDict(loss=history()),
            runtime_info=dict(best=np.float64(0.5), epoch=np.int64(3), flags=np.array([[True, False]])),
        ),
        fortran=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        big_endian=np.array([1, 2], '>i4'),
    )
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


def test_our_checkpoints_contain_no_code(tmp_path):
    path = tmp_path / 'ours.pth'
    torch.save(dict(log=history(), again=history()), path)
    names = globals_in(path)
    assert {name for name in names if not name.startswith(('torch', 'collections'))} == {
        'mmengine.logging.history_buffer.HistoryBuffer'
    }
    assert_same_history(load(path)['log'], history())


def test_a_history_can_still_be_copied():
    assert_same_history(copy.deepcopy(history()), history())


class Calls:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class CallsGetattr:
    """A forged pickle: HistoryBuffer's getattr with other arguments."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def forged_history():
    forged = history()
    forged._statistics_methods = {'mean': CallsGetattr()}
    return forged


EVIL = [
    (lambda mark: Calls(os.system, f'touch {mark}'), 'posix.system'),
    (lambda mark: Calls(eval, f'open({str(mark)!r}, "w")'), 'eval'),
    (lambda mark: Calls(exec, f'open({str(mark)!r}, "w")'), 'exec'),
    (lambda mark: Calls(getattr, os.path.join, '__globals__'), 'getattr|join'),
    (lambda mark: Calls(Calls(getattr, HistoryBuffer, '__init__').function, HistoryBuffer, '__reduce__'), 'getattr'),
    (lambda mark: [CallsGetattr()], 'getattr'),
    (lambda mark: {'log': forged_history()}, 'method'),
    (lambda mark: Calls(open, str(mark), 'w'), 'open'),
    (lambda mark: np.array([{'an': 'object'}], dtype=object), "'O8'"),
    (lambda mark: np.array(['text']), "'U4'"),
    (lambda mark: {1, np.float64(2)}, 'scalar'),
]
# Entries of a checkpoint with weights, or from which training resumes.
NEEDED = [
    ('state_dict',),
    ('state_dict', 'weight'),
    ('model',),
    ('ema', 'module'),
    ('optimizer', 'state'),
    ('param_schedulers',),
    ('message_hub', 'log_scalars'),
    ('meta', 'cfg'),
]


def within(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


@pytest.mark.parametrize(('evil', 'named'), EVIL)
@pytest.mark.parametrize('at', [('state_dict', 'weight'), ('meta', 'cfg')])
def test_code_in_the_weights_or_in_resumed_entries_is_rejected_and_not_executed(evil, named, at, tmp_path):
    mark, path = tmp_path / 'it-ran', tmp_path / 'evil.pth'
    save_as_mmengine_does({'state_dict': {}} | within(at, evil(mark)), path)
    for read in (lambda: load(path), lambda: load_checkpoint(torch.nn.Linear(1, 1), str(path))):
        with pytest.raises(UnsafeCheckpointError, match=named) as error:
            read()
        assert 'evil.pth' in str(error.value)
    assert not mark.exists()


@pytest.mark.parametrize('at', NEEDED)
def test_the_entry_that_contains_code_is_reported(at, tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save({'state_dict': {}} | within(at, Calls(os.system, f'touch {tmp_path / "it-ran"}')), path)
    with pytest.raises(UnsafeCheckpointError, match='posix.system') as error:
        load(path)
    assert repr(at[0]) in str(error.value)
    assert not (tmp_path / 'it-ran').exists()


@pytest.mark.parametrize(('evil', 'named'), EVIL)
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_code_in_other_entries_is_neither_read_nor_executed(evil, named, protocol, tmp_path):
    mark, path = tmp_path / 'it-ran', tmp_path / 'lightning.ckpt'
    ours = copyreg.dispatch_table.pop(HistoryBuffer)
    try:
        torch.save({'state_dict': {'weight': torch.ones(2)}, 'extra': evil(mark)}, path, pickle_protocol=protocol)
    finally:
        copyreg.pickle(HistoryBuffer, ours)
    read = load(path)
    assert torch.equal(read['state_dict']['weight'], torch.ones(2))
    assert all(isinstance(value, (Record, dict, list, set)) for value in [read['extra']])
    assert _load_checkpoint(str(path))['state_dict'].keys() == {'weight'}
    assert not mark.exists()


class Settings(dict):
    """As Lightning's AttributeDict and omegaconf's containers."""


class Kinds(list):
    pass


class Precision(enum.Enum):
    HALF = 16


class Holder:
    """An object with slots."""

    __slots__ = ('inner',)

    def __init__(self, inner):
        self.inner = inner


def test_types_of_a_trainer_outside_of_the_weights_are_not_read(tmp_path):
    path = tmp_path / 'trainer.pth'
    torch.save(
        {
            'model': OrderedDict(weight=torch.arange(3.0)),
            'args': argparse.Namespace(lr=0.1, device=torch.device('cpu')),
            'path': pathlib.PurePosixPath('/data'),
            'partial': functools.partial(print, 'x'),
            'settings': Settings(a=1),
            'kinds': Kinds([1, 2]),
            'precision': Precision.HALF,
            'holder': Holder(torch.zeros(2)),
            'class': Holder,
            'callbacks': {Holder: {'best': 0.5}},
            'default': defaultdict(list, a=[1]),
            'counter': Counter('aab'),
            'frozen': frozenset({1, (2, 3)}),
            'module': torch.nn.Linear(2, 2),
            'lambda': os.path.join,
        },
        path,
    )
    read = load(path)
    assert read['model']['weight'].tolist() == [0, 1, 2]
    assert {key for key, value in read.items() if isinstance(value, Record)} == {
        'args',
        'path',
        'partial',
        'settings',
        'kinds',
        'precision',
        'holder',
        'default',
        'frozen',
        'module',
    }
    assert read['counter'] == Counter('aab')
    assert repr(read['args']) == '<argparse.Namespace, not read>'
    assert not any(map(callable, read.values()))


def test_operations_on_inert_records_are_not_executed(tmp_path):
    # REDUCE of the result of a REDUCE, BUILD with a state, items for it, and PyTorch's own rebuilding functions.
    path, mark = tmp_path / 'evil.ckpt', tmp_path / 'it-ran'
    system = Calls(os.system, f'touch {mark}')
    torch.save(
        {
            'state_dict': {},
            'a': Calls(torch._tensor._rebuild_from_type_v2, os.system, torch.Tensor, (f'touch {mark}',), {}),
            'b': [system, system],
        },
        path,
    )
    read = load(path)
    assert type(read['a']) is Record
    assert not mark.exists()


def pickled(*instructions):
    return b'\x80\x02' + b''.join(instructions) + b'.'


def checkpoint_of(data, path):
    """Write a checkpoint with a handmade pickle."""
    torch.save({'x': torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, data if name.endswith('data.pkl') else content)


NESTED = b')' + b'2\x86' * 60  # a tuple of itself twice, sixty times over: its hash takes 2 ** 60 steps
STORAGE = b'(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpu%st'
TENSOR = (
    b'ctorch._utils\n_rebuild_tensor_v2\n('
    + STORAGE % b'K\x02'
    + b'QK\x00%s\x85%s\x85\x89ccollections\nOrderedDict\n)RtR'
)
HUGE = b'\x8a\x06' + (2**40).to_bytes(6, 'little')


@pytest.mark.parametrize(
    'data',
    [
        pickled(b'}', NESTED, b'K\x01s'),
        pickled(b'cbuiltins\nset\n](', NESTED, b'e\x85R'),
        pickled(b'ccollections\nOrderedDict\n](](', NESTED, b'K\x01ee\x85R'),
        pickled(b'ccollections\nCounter\n]', NESTED, b'a\x85R'),
        pickled(b'(', NESTED, b'\x91'),
        pickled(b'\x8f(', NESTED, b'\x90'),
        pickled(b'(', NESTED, b'K\x01d'),
        pickled(b'cbuiltins\nlist\n(', NESTED, b'tR}K\x01b(oK'),
        pickled(b'\x96' + (2**40).to_bytes(8, 'little')),
        pickled(b'\x95' + (2**62).to_bytes(8, 'little')),
        pickled(STORAGE % HUGE, b'Q'),
        pickled(TENSOR % (HUGE, b'K\x01')),
        pickled(TENSOR % (b'K\x03', b'K\x01')),
        pickled(b'ctorch\nTensor\n', HUGE, b'\x85R'),
        pickled(b'ctorch.storage\nUntypedStorage\n', HUGE, b'\x85R'),
        pickled(b'ctorch\nTensor\n}U\x02toK\x01sb'),  # BUILD on a class would set it for the process
        pickled(b'ctorch\nTensor\nN}U\x02toK\x01s\x86b'),
        pickled(b'ctorch._utils\n_rebuild_tensor_v2\n}U\x01xK\x01sb'),
        pickled(b'\x82\x01'),
        pickled(b'cposix\nsystem\nU\x04true\x85RU\x01xP0.'[:-1]),
        pickled(b'(U\x06modulecposix\nsystem\nU\x01aU\x01btQ'),
        pickled(b'U\x04text)R'),
        pickled(
            b'ccollections\nOrderedDict\n',
            b'](',
            b''.join(b'](K\x01K\x02e' for _ in range(2000)),
            b'e\x85q\x000',
            b'(' + b'ccollections\nOrderedDict\nh\x00R' * 600 + b't',
        ),
    ],
    ids=len,
)
def test_pickles_that_need_years_gigabytes_or_access_to_the_process_are_rejected_at_once(data, tmp_path):
    copyreg._slotnames(torch.Tensor)  # cached in the class by the first call
    path, before, started = tmp_path / 'bomb.pth', dict(vars(torch.Tensor)), time.monotonic()
    checkpoint_of(data, path)
    with pytest.raises(UserError, match='bomb.pth'):
        load(path)
    assert time.monotonic() - started < 30  # not years, also on a busy machine
    assert dict(vars(torch.Tensor)) == before


def test_attributes_of_a_state_dict_other_than_versions_are_dropped(tmp_path):
    weights = torch.nn.BatchNorm2d(1).state_dict()
    weights.copy = 'not a method'
    torch.save({'state_dict': weights}, tmp_path / 'x.pth')
    read = load(tmp_path / 'x.pth')['state_dict']
    assert read._metadata == {'': {'version': 2}}
    assert callable(read.copy)


def test_torchscript_and_tar_files_are_rejected(tmp_path):
    torch.jit.script(torch.nn.ReLU()).save(tmp_path / 'script.pth')
    with pytest.raises(UnsafeCheckpointError, match='TorchScript'):
        load(tmp_path / 'script.pth')
    with tarfile.open(tmp_path / 'x.pth', 'w') as archive:
        archive.add(__file__, 'storages')
    with pytest.raises(UserError, match='tar file'):
        load(tmp_path / 'x.pth')


@pytest.mark.parametrize(
    'save', [lambda model: model, lambda model: {'model': model, 'epoch': 3}, lambda model: {'epoch': 3, 'ema': model}]
)
def test_a_pickled_model_is_rejected_with_its_class_and_the_remedy(save, tmp_path):
    torch.save(save(torch.nn.Linear(2, 2)), tmp_path / 'model.pt')
    with pytest.raises(UnsafeCheckpointError, match=r'modules\.linear\.Linear.*torch\.save\(model\.state_dict'):
        load(tmp_path / 'model.pt')


@pytest.mark.parametrize('zipped', [True, False])
def test_tensors_of_all_kinds_are_read_unchanged(zipped, tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    saved = dict(
        weight=torch.nn.Parameter(base.clone()),
        frozen=torch.nn.Parameter(base.clone(), requires_grad=False),
        view=base[1:, ::2],
        transposed=base.t(),
        expanded=base[:1].expand(5, 4),
        scalar=torch.tensor(3),
        empty=torch.empty(0, 4),
        half=base.half(),
        bfloat16=base.bfloat16(),
        flags=base > 3,
        complex=torch.ones(2, dtype=torch.complex64),
        conjugate=torch.ones(2, dtype=torch.complex64).conj(),
        unsigned=torch.ones(2, dtype=torch.uint16),
        size=base.shape,
        dtype=torch.float32,
        device=torch.device('cpu'),
        channels_last=torch.rand(1, 2, 3, 4).to(memory_format=torch.channels_last),
    )
    saved['attribute'] = base.clone()
    saved['attribute'].note = 'own'
    if not zipped:  # PyTorch does not support it in the format before 1.6
        del saved['unsigned']
    torch.save(saved, tmp_path / 'x.pth', _use_new_zipfile_serialization=zipped)
    read = load(tmp_path / 'x.pth')
    assert read.keys() == saved.keys()
    for key, value in saved.items():
        if isinstance(value, torch.Tensor):
            assert (read[key].dtype, read[key].stride()) == (value.dtype, value.stride())
            assert torch.equal(read[key], value)
        else:
            assert read[key] == value
    assert isinstance(read['weight'], torch.nn.Parameter)
    assert (read['weight'].requires_grad, read['frozen'].requires_grad) == (True, False)


def test_hooks_and_attributes_of_a_files_tensors_are_dropped(tmp_path):
    hooked = torch.nn.Parameter(torch.ones(2))
    hooked.copy_ = 'not a method'
    torch.save(
        {
            'x': hooked,
            'y': Calls(
                torch._utils._rebuild_tensor_v2,
                torch.ones(2).storage(),
                0,
                (2,),
                (1,),
                True,
                OrderedDict({0: Calls(print)}),
            ),
        },
        tmp_path / 'x.pth',
    )
    read = load(tmp_path / 'x.pth')
    assert callable(read['x'].copy_)
    assert not any(tensor._backward_hooks for tensor in read.values())


def test_code_is_rejected_in_the_old_format_too(tmp_path):
    path = tmp_path / 'evil.pth'
    path.write_bytes(pickle.dumps({'state_dict': Calls(os.system, f'touch {tmp_path / "it-ran"}')}, protocol=2))
    with pytest.raises(UserError, match='evil.pth'):
        load(path)
    assert not (tmp_path / 'it-ran').exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04 cut off', bytes(range(256)) * 8])
def test_a_file_that_is_not_a_checkpoint_is_reported(content, tmp_path):
    path = tmp_path / 'photo.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'photo\.pth .*PyTorch checkpoint'):
        load(path)


@pytest.mark.parametrize('opened', [False, True])
def test_a_decompression_bomb_is_rejected_before_it_is_unpacked(opened, tmp_path):
    valid, bomb = tmp_path / 'valid.pth', tmp_path / 'bomb.pth'
    torch.save(dict(x=torch.zeros(2_000_000)), valid)
    with zipfile.ZipFile(valid) as source, zipfile.ZipFile(bomb, 'w', zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    assert bomb.stat().st_size < 100_000
    with open(bomb, 'rb') as file, pytest.raises(UnsafeCheckpointError, match='compressed'):
        load(file if opened else bomb)
    with open(valid, 'rb') as file:
        assert load(file if opened else valid)['x'].shape == (2_000_000,)


@pytest.mark.parametrize(
    'nest', [lambda inner: (inner, inner), lambda inner: [inner, inner], lambda inner: dict(a=inner, b=inner)]
)
def test_an_object_with_billions_of_references_is_read_once(nest, tmp_path):
    nested = nest(torch.ones(1))
    for _ in range(60):
        nested = nest(nested)
    torch.save(nested, tmp_path / 'nested.pth')
    load(tmp_path / 'nested.pth')


def test_a_truncated_checkpoint_is_reported(tmp_path):
    path = tmp_path / 'cut.pth'
    torch.save({'weight': torch.rand(100, 100)}, path)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(UserError, match=r'cut\.pth .*PyTorch checkpoint'):
        load(path)


def test_a_missing_file_is_reported():
    with pytest.raises(UserError, match=r'not found: nowhere\.pth'):
        _load_checkpoint('nowhere.pth')


def test_types_allowed_by_the_user_are_read_and_no_others_are_added(tmp_path):
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


def test_downloads_are_read_by_the_safe_unpickler(tmp_path, monkeypatch, http_folder):
    folder, url = http_folder
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    save_as_mmengine_does({'log': history(), 'weight': torch.ones(3)}, folder / 'good.pth')
    torch.save({'weight': Calls(os.system, f'touch {tmp_path / "it-ran"}')}, folder / 'evil.pth')
    assert_same_history(_load_checkpoint(f'{url}/good.pth')['log'], history())
    with pytest.raises(UnsafeCheckpointError, match='posix.system'):
        _load_checkpoint(f'{url}/evil.pth')
    assert not (tmp_path / 'it-ran').exists()


def test_a_failed_download_says_which_file_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    for proxy in ('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'):
        monkeypatch.setenv(proxy, 'http://127.0.0.1:9')  # a closed port
    with pytest.raises(UserError) as error:
        _load_checkpoint('torchvision://shufflenet_v2_x1_0.imagenet1k_v1')
    message = str(error.value)
    assert 'cannot be downloaded' in message
    assert 'https://download.pytorch.org/models/shufflenetv2_x1-5666bf0f80.pth' in message
    assert str(tmp_path / 'cache' / 'hub' / 'checkpoints' / 'shufflenetv2_x1-5666bf0f80.pth') in message
    assert 'init_cfg' not in message  # the model is not known here


def test_unknown_torchvision_weights_are_reported_with_similar_ones():
    with pytest.raises(UserError, match=r'shufflenet_v2_x1_0\.imagenet1k_v1'):
        _load_checkpoint('torchvision://shufflenet_v2_x1_0.imagenet1k_v7')


# Split so that a search for this argument finds no real use.
NO_CHECK = {'weights' + '_only': False}


def test_a_loader_with_lax_settings_is_overridden(tmp_path, monkeypatch):
    # As the fork of MMEngine: first with its own allowlist, which contains getattr, then without a check.
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
        for evil, named in ((CallsGetattr(), 'getattr'), (Calls(os.system, f'touch {tmp_path / "it-ran"}'), 'system')):
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


def test_threads_load_concurrently_one_by_mmengine_and_one_by_plain_pytorch(tmp_path, monkeypatch):
    # Each waits for the other while it loads, so the two always overlap.
    barrier, results = threading.Barrier(2, timeout=20), {}

    def local_loader(filename, map_location=None):
        barrier.wait()
        read = torch.load(filename, map_location=map_location, **NO_CHECK)
        barrier.wait()
        return read

    monkeypatch.setattr(CheckpointLoader, '_schemes', {'': _guarded(local_loader)})
    torch.save({'state_dict': {}, 'own': Allowed()}, tmp_path / 'own.pth')
    torch.save({'state_dict': Calls(os.system, f'touch {tmp_path / "it-ran"}')}, tmp_path / 'evil.pth')

    def strict():
        try:
            _load_checkpoint(str(tmp_path / 'evil.pth'))
        except UnsafeCheckpointError as error:
            results['strict'] = error
            barrier.wait()

    def plain():
        barrier.wait()
        results['plain'] = torch.load(tmp_path / 'own.pth', **NO_CHECK)
        barrier.wait()

    before = torch.serialization.get_safe_globals()
    threads = [threading.Thread(target=target) for target in (strict, plain)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert type(results['plain']['own']) is Allowed
    assert 'posix.system' in str(results['strict'])
    assert torch.serialization.get_safe_globals() == before
    assert not (tmp_path / 'it-ran').exists()


def test_installing_again_has_no_effect():
    before = torch.load, dict(CheckpointLoader._schemes)
    install()
    assert (torch.load, dict(CheckpointLoader._schemes)) == before


def test_a_config_that_mmengine_would_execute_is_left_out(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(meta=dict(config='import os', cfg='model = 1', iter=3), state_dict={}), path)
    assert _load_checkpoint(str(path))['meta'] == dict(cfg='model = 1', iter=3)


def test_a_file_that_is_replaced_after_the_check_is_not_read(tmp_path, monkeypatch):
    path, other, checked = tmp_path / 'a.pth', tmp_path / 'script.pth', safe_loading._checked_sizes
    torch.save({'weight': torch.ones(2)}, path)
    torch.jit.script(torch.nn.ReLU()).save(str(other))

    def check_and_replace(*args):
        sizes = checked(*args)
        os.replace(other, path)
        return sizes

    monkeypatch.setattr(safe_loading, '_checked_sizes', check_and_replace)
    assert load(path)['weight'].tolist() == [1, 1]
    monkeypatch.undo()
    with pytest.raises(UserError, match='TorchScript'):
        load(path)
