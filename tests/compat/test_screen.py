"""What a command shows and what goes to the log file."""

import logging
import warnings
from pathlib import Path

import pytest
from mmengine.logging import MMLogger, print_log

import mmdet_shufflenetv2
from mmdet_shufflenetv2.compat.screen import quiet_screen

OWN = str(Path(mmdet_shufflenetv2.__file__).parent / 'training' / 'some_module.py')
FOREIGN = '/usr/lib/python3/site-packages/pycocotools/cocoeval.py'
CALLS = dict(
    print="print('told')",
    logger="logger.info('told')",
    print_log="print_log('told', 'current')",
    print_log_without="print_log('told')",
)


def say(file, code):
    """Run a line of code that is in a file."""
    exec(compile(code, file, 'exec'), dict(logger=MMLogger.get_current_instance(), print_log=print_log))


@pytest.fixture
def log(tmp_path):
    """The log file of a run, from when it is called."""

    def begin():
        MMLogger.get_instance('run', logger_name='run', log_file=str(tmp_path / 'run.log'))
        return tmp_path / 'run.log'

    return begin


@pytest.mark.parametrize('call', CALLS)
def test_own_messages_are_shown_and_others_are_logged(call, log, capfd):
    file = log()
    with quiet_screen():
        say(OWN, CALLS[call].replace('told', 'ours'))
        say(FOREIGN, CALLS[call].replace('told', 'theirs'))
    shown = capfd.readouterr()
    assert shown.out.strip() == 'ours'
    assert not shown.err
    assert 'theirs' in file.read_text()


def test_log_warnings_are_shown_unless_harmless(log, capfd):
    file = log()
    with quiet_screen():
        say(FOREIGN, 'logger.warning("the weights are random")')
        say(FOREIGN, 'logger.warning("The prefix is not set in metric class X")')
    assert capfd.readouterr().out == 'warning: the weights are random\n'
    assert 'The prefix' in file.read_text()


def test_warnings_of_python_are_logged(log, capfd):
    file = log()
    with warnings.catch_warnings(), quiet_screen():
        warnings.simplefilter('always')
        warnings.warn('this will go away', DeprecationWarning, stacklevel=1)
    assert 'DeprecationWarning: this will go away' in file.read_text()
    assert 'go away' not in ''.join(capfd.readouterr())


def test_early_messages_are_in_the_log_file(log, capfd):
    with quiet_screen():
        say(FOREIGN, 'print("early")')
        say(FOREIGN, 'logger.info("so is this")')
        file = log()
        say(FOREIGN, 'logger.info("later")')
    text = file.read_text()
    assert text.index('early') < text.index('so is this') < text.index('later')
    assert not capfd.readouterr().out


def test_results_of_others_are_shown_on_request(log, capfd):
    log()
    with quiet_screen((' Average ', '\n+--')):
        say(FOREIGN, 'print(" Average Precision = 0.5")')
        say(FOREIGN, 'print("index created!")')
        say(FOREIGN, r'logger.info("\n+---+\n| cat |")')
    assert capfd.readouterr().out == ' Average Precision = 0.5\n+---+\n| cat |\n'


def test_everything_is_restored(log, capfd):
    log()
    before = logging.Logger.callHandlers, MMLogger.callHandlers, warnings.showwarning
    with pytest.raises(ValueError, match='wrong'), quiet_screen():
        raise ValueError('wrong')
    assert before == (logging.Logger.callHandlers, MMLogger.callHandlers, warnings.showwarning)
    say(FOREIGN, 'print("theirs")')
    assert 'theirs' in capfd.readouterr().out
