"""Checkpoints as PyTorch Lightning writes them for NanoDet, from fake modules with the same names."""

import sys
import types
from contextlib import contextmanager

import torch


@contextmanager
def fake_classes(**names):
    """Create modules with an empty class of each base, by dotted name; removed again afterwards."""
    before, classes = dict(sys.modules), []
    for path, base in names.items():
        *modules, name = path.split('.')
        for depth in range(1, len(modules) + 1):
            module = '.'.join(modules[:depth])
            sys.modules.setdefault(module, types.ModuleType(module))
        classes.append(type(name, (base,), {'__module__': '.'.join(modules)}))
        setattr(sys.modules['.'.join(modules)], name, classes[-1])
    try:
        yield classes
    finally:
        for module in sys.modules.keys() - before.keys():
            del sys.modules[module]


def save_as_lightning_does(state_dict, path):
    with fake_classes(
        **{
            'pytorch_lightning.utilities.parsing.AttributeDict': dict,
            'nanodet.util.yacs.CfgNode': dict,
            'pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint': object,
            'pytorch_lightning.trainer.states.TrainerFn': str,
        }
    ) as (attributes, node, callback, state):
        config = node(model=node(arch=node(name='NanoDetPlus')), schedule=node(total_epochs=300))
        config.__dict__['_immutable'] = True
        torch.save(
            {
                'epoch': 299,
                'global_step': 277_500,
                'pytorch-lightning_version': '1.9.5',
                'state_dict': state_dict,
                'loops': {'fit_loop': {'state_dict': {}, 'epoch_progress': {'total': {'ready': 300}}}},
                'callbacks': {
                    callback: {'best_model_score': torch.tensor(0.2), 'state': state('fit'), 'own': callback()}
                },
                'optimizer_states': [{'state': {0: {'step': torch.tensor(1.0)}}, 'param_groups': [{'lr': 1e-3}]}],
                'lr_schedulers': [{'T_max': 300, '_step_count': 301}],
                'hparams_name': 'kwargs',
                'hyper_parameters': attributes(cfg=config),
            },
            path,
        )
