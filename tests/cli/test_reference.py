from importlib import import_module

import pytest
from conftest import ROOT

from mmdet_shufflenetv2.cli.commands import COMMANDS
from mmdet_shufflenetv2.cli.reference import reference


def test_page_of_all_options_is_up_to_date():
    assert (ROOT / 'docs' / 'commands.md').read_text() == reference()


@pytest.mark.parametrize('name', [name for name, command in COMMANDS.items() if command.function])
def test_python_functions_on_the_page_exist(name):
    module, _, function = COMMANDS[name].function.rpartition('.')
    assert callable(getattr(import_module(f'mmdet_shufflenetv2.{module}'), function))
