# make demo    install, train a small detector on built-in data, evaluate it, draw it
# make test    install, run the test suite

VENV ?= .venv
CONSTRAINTS ?= requirements/constraints.txt
FRAMEWORK ?= mmengine mmcv-lite mmdet
# Runtimes that the tests use, and optional packages.
RUNTIMES ?= onnx onnxruntime openvino ncnn pnnx gradio tensorboard trackers pillow-heif playwright nbclient ipykernel
# Options of pip: only wheels, so nothing is compiled.
FORMATS ?= --only-binary :all:
# Minimum coverage of the package by the tests, in percent.
COVERAGE ?= 90
# The first supported Python; if there is none, python3, which is rejected below.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && exit; done; \
	echo python3)
PY = $(VENV)/bin/python
PIP = $(PY) -m pip install --quiet -c $(CONSTRAINTS)
INSTALLED = $(VENV)/.installed
# All tests of a file run in one process and share fixtures; tests/conftest.py has the order of the files.
PYTEST = $(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=60

.PHONY: help install demo test test-portable chaos test-slow test-oldest test-onedl test-onedl-core test-deploy lint coverage docs \
	release-check clean

help:
	@sed -n 's/^# //p' Makefile | head -2
	@echo 'make install, test-portable (the numeric tests under other arithmetic), test-slow (tests of 5 seconds and more), chaos (faults injected into training), test-oldest (oldest supported versions), test-onedl (the maintained forks), test-deploy (files of every export target), lint, coverage, docs, release-check, clean'

install: $(INSTALLED)

# OpenCV's default wheel needs libGL. Without libGL, the headless wheel is installed.
$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
		"Python 3.11, 3.12 or 3.13 is needed, this is %d.%d. Name another: make PYTHON=python3.12" % v)'
	@echo '1/4 creating $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@echo '2/4 installing PyTorch and torchvision (5 GB; about a minute, or as long as the download takes)'
	@$(PIP) $(FORMATS) torch torchvision 'setuptools<82' wheel
	@echo '3/4 installing MMDetection and other requirements'
	@$(PIP) $(FORMATS) torch torchvision $(FRAMEWORK) pycocotools faster-coco-eval opencv-python matplotlib tqdm $(RUNTIMES) \
		pytest pytest-xdist ruff import-linter mypy
	@$(PY) -c 'import cv2' 2>/dev/null || $(PIP) --only-binary :all: --no-deps --force-reinstall opencv-python-headless
	@echo '4/4 installing this package'
	@$(PY) -m pip install --quiet --no-build-isolation --no-deps -e .
	@touch $@

demo: install
	$(VENV)/bin/snv2 demo

test: install
	$(PYTEST)

# Other processors add in another order, so results differ in the last digits, on which no test may depend. Each setting
# makes this machine compute like another one.
NUMERIC = tests/models tests/compat tests/deploy tests/inference tests/tools/test_nanodet.py \
	tests/tools/test_train_and_test.py tests/test_families.py
ARITHMETIC = ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=SSE41 ONEDNN_MAX_CPU_ISA=AVX2 \
	OMP_NUM_THREADS=1 TESTS_WITHOUT_ONEDNN=1

test-portable: install
	@for setting in $(ARITHMETIC); do echo "$$setting"; env $$setting $(PYTEST) $(NUMERIC) || failed="$$failed $$setting"; \
	done; test -z "$$failed" || { echo "failed under:$$failed"; exit 1; }

# Inject faults into training: kills, truncated files, full disks, and random changes of files.
chaos: install
	$(PY) tests/training/fault_tolerance/chaos.py

test-slow: install
	$(PYTEST) -m slow

test-oldest:
	$(MAKE) test VENV=.venv-oldest CONSTRAINTS=requirements/constraints-oldest.txt RUNTIMES='onnx onnxruntime'

# The forks' mmcv and mmdet are source packages. pip builds them without torch, so mmcv skips its operators and both
# take seconds.
ONEDL = VENV=.venv-onedl CONSTRAINTS=requirements/constraints-onedl.txt \
	FRAMEWORK='onedl-mmengine onedl-mmcv onedl-mmdetection' RUNTIMES='onnx onnxruntime openvino' \
	FORMATS='--only-binary :all: --no-binary onedl-mmcv,onedl-mmdetection'

test-onedl: .venv-onedl/.borrowed
	$(MAKE) test $(ONEDL)

# PyTorch takes 5 GB of disk, so the environment of the forks uses that of the first environment.
.venv-onedl/.borrowed:
	$(MAKE) install
	$(PYTHON) -m venv .venv-onedl
	mkdir -p .venv-onedl/borrowed
	ln -sf $(foreach name,torch functorch nvidia triton cuda,$(abspath $(VENV))/lib/python3*/site-packages/$(name)*) .venv-onedl/borrowed
	echo $(CURDIR)/.venv-onedl/borrowed > "$$(echo .venv-onedl/lib/python3*/site-packages)/borrowed.pth"
	@touch $@

# Tests of exported files with the packages of every target, in a separate environment that also uses the first one's.
TARGETS = ai-edge-litert coremltools

.venv-deploy/.installed: $(CONSTRAINTS)
	$(MAKE) install
	$(PY) -m venv .venv-deploy
	$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(echo .venv-deploy/lib/python3*/site-packages)/first.pth"
	.venv-deploy/bin/python -m pip install --quiet -c $(CONSTRAINTS) $(FORMATS) $(TARGETS)
	@touch $@

test-deploy: .venv-deploy/.installed
	PYTHONPATH=$(CURDIR) .venv-deploy/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder tests/deploy

# The tests that CI runs on the forks.
test-onedl-core: .venv-onedl/.borrowed
	$(MAKE) install $(ONEDL)
	.venv-onedl/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder tests/compat tests/models/backbones tests/test_configs.py

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(PY) -m mypy
	$(PY) tests/vocabulary.py

# Includes commands that tests run in other processes.
coverage: install
	$(PIP) $(FORMATS) pytest-cov
	$(PYTEST) --cov --cov-report term:skip-covered --cov-fail-under $(COVERAGE)

# The repository's files are copied first, so that links between pages are the same in the repository and on the site.
docs: install
	$(PIP) $(FORMATS) sphinx furo myst-parser
	rm -rf build/docs
	mkdir -p build/docs/source
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t build/docs/source
	$(PY) -m sphinx -q -W --keep-going -c docs build/docs/source build/docs/html
	@echo 'built: build/docs/html/docs/index.html'

# Check of a release: both archives, and the demo from the wheel in an empty environment and folder.
release-check: install
	$(PIP) $(FORMATS) build twine
	rm -rf dist build/release
	$(PY) -m build --outdir dist .
	$(PY) -m twine check --strict dist/*
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip install --quiet -c $(CONSTRAINTS) $(FORMATS) opencv-python-headless matplotlib setuptools "$$(echo dist/*.whl)[mmcv-lite]"
	build/release/bin/python -c 'import cv2' 2>/dev/null || build/release/bin/python -m pip install --quiet -c $(CONSTRAINTS) --only-binary :all: --no-deps --force-reinstall opencv-python-headless
	mkdir build/release/empty && cd build/release/empty && ../bin/snv2 demo

clean:
	rm -rf work_dirs data/shapes .pytest_cache .ruff_cache build dist *.egg-info
