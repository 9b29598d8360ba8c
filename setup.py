"""Package metadata. The versions that are tested together stand in requirements/constraints.txt."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithMim(build_py):
    """Puts configs and tools into the package's folder .mim, where OpenMMLab's mim looks for them."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # they lie beside the package
            return
        here, target = Path(__file__).parent, Path(self.build_lib) / 'mmdet_shufflenetv2' / '.mim'
        for name in ('configs', 'tools'):
            shutil.copytree(here / name, target / name, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(here / 'model-index.yml', target)


setup(
    name='mmdet-shufflenetv2',
    version='0.1.0',
    description='ShuffleNet V2 for MMDetection 3, without a compiler',
    long_description=Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11,<3.14',
    cmdclass={'build_py': BuildWithMim},
    entry_points={'console_scripts': ['snv2 = mmdet_shufflenetv2.cli:main']},
    packages=find_packages(include=['mmdet_shufflenetv2*']),
    install_requires=[
        'torch>=2.4',
        'torchvision>=0.19',
        'mmengine>=0.10.4,<1',
        'mmdet>=3.3,<4',
        'pycocotools',
        'faster-coco-eval>=1.8,<2',
        'tqdm',
        'Pillow',
        # MMEngine's mmdet:: config bases need pkg_resources, which setuptools 82 removed.
        'setuptools<82',
    ],
    # No mmcv among the requirements: mmcv-lite installed over a compiled mmcv would overwrite it.
    extras_require={
        'mmcv-lite': ['mmcv-lite>=2.1.0,<2.2'],
        # snv2 export and OnnxDetector; openvino is optional.
        'deploy': ['onnx>=1.17', 'onnxruntime>=1.20'],
        'app': ['gradio>=6'],  # snv2 app
        'test': ['pytest', 'pytest-xdist', 'ruff', 'import-linter'],
    },
)
