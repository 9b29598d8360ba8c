from importlib import import_module

import pytest
from conftest import ROOT

from mmdet_shufflenetv2.cli.commands import COMMANDS
from mmdet_shufflenetv2.cli.reference import reference


def test_the_page_of_all_options_is_as_the_options_are():
    assert (ROOT / 'docs' / 'commands.md').read_text() == reference()


@pytest.mark.parametrize('name', [name for name, command in COMMANDS.items() if command.function])
def test_the_python_function_of_a_command_is_where_the_page_says(name):
    module, _, function = COMMANDS[name].function.rpartition('.')
    assert callable(getattr(import_module(f'mmdet_shufflenetv2.{module}'), function))
