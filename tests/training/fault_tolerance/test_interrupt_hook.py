"""Signals in a run of several processes."""

from mmdet_shufflenetv2.training.fault_tolerance import interrupt_hook


def test_processes_agree_to_stop_once_per_evaluation(monkeypatch):
    asked = []
    monkeypatch.setattr(interrupt_hook, 'is_distributed', lambda: True)
    monkeypatch.setattr(interrupt_hook, 'all_reduce', lambda *args: asked.append(args))
    hook = interrupt_hook.InterruptHook()
    for batch in range(3):
        hook.after_val_iter(None, batch)
    assert not asked
    hook.after_val_epoch(None)
    assert len(asked) == 1
