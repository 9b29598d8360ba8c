"""The step of the build that pyproject.toml cannot describe: configs and tools go into the wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithMim(build_py):
    """Puts configs and tools into the package's folder .mim, where OpenMMLab's mim looks for them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # they are next to the package
            return
        here, target = Path(__file__).parent, Path(self.build_lib) / 'mmdet_shufflenetv2' / '.mim'
        for name in ('configs', 'tools'):
            shutil.copytree(
                here / name, target / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns('__pycache__')
            )
        shutil.copy(here / 'model-index.yml', target)


setup(cmdclass={'build_py': BuildWithMim})
