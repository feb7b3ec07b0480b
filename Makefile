# On a fresh machine: `make demo` and `make test`; both make .venv first. Needs Python 3.11 or newer and PyPI.
# The local Triton of the demo and of the slow tests runs on Python 3.11 or 3.12, so these are preferred.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python3.14; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	&& { echo $$p; exit; }; done; \
	for p in python3 python3.14 python3.13; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	&& { echo $$p; exit; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
PYTEST_ARGS ?=
# Processes of `make test`; what must not run at the same time stays in one of them (tests/conftest.py). 0: none.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && n=4; echo $$n)

# What gpu_infer is compared with, in an environment of its own. TORCH=... names another build of PyTorch (a CPU
# build will do), CT=... the volume that the benches run on, RESULTS=... the folder of their results, MONAI_SOURCE=... a
# checkout of MONAI with its tests.
PEERS := .venv-peers
PEERS_BIN := $(PEERS)/bin
PEERS_STAMP := $(PEERS)/.peers-done
TORCH ?= torch==2.13.0
CT ?=
RESULTS ?= bench_results
BENCH ?=
MONAI_SOURCE ?=
export MONAI_SOURCE

# The real CuPy on a CUDA driver without a device (tests/fakecuda), in an environment of its own. Python 3.12 if there is
# a real one: pyenv's shims answer for versions that are not active.
FAKE := .venv-fake-cuda
FAKE_BIN := $(FAKE)/bin
FAKE_STAMP := $(FAKE)/.fake-cuda-done
FAKE_PYTHON ?= $(shell for p in python3.12 $(wildcard $(HOME)/.pyenv/versions/3.12*/bin/python3.12) python3.11; do \
	$$p -c '' 2>/dev/null && { echo $$p; exit; }; done)

.PHONY: help setup page-asset test fuzz fake-cuda test-fake-cuda demo lint format wheel clean peers test-peers equivalence bench bench-publish \
	gpu-bundle gpu-bundle-simpleitk prove-container rehearse-gpu-check

help:
	@echo "make demo    the operator on a real chest CT with a Triton that it starts itself"
	@echo "make test    every test, the slow ones included, with coverage (WORKERS=0: one after the other)"
	@echo "make fuzz    hostile input for SECONDS=60 from SEED=1: no crash, hang or unknown error (FUZZ_KINDS=headers: one kind)"
	@echo "make setup   the environment in $(VENV) (PYTHON=... chooses the interpreter)"
	@echo "make lint    ruff, mypy, hadolint and shellcheck      make format  ruff's formatter"
	@echo "make peers   MONAI, PyTorch and others in $(PEERS)      make test-peers  values against them"
	@echo "make test-fake-cuda  tests of a GPU with the real CuPy, on a CUDA driver without a device, in $(FAKE)"
	@echo "make bench   speed and memory against them           make equivalence docs/equivalence.md anew"
	@echo "make bench-publish BENCH=cubic  results of benches (or all) in $(RESULTS) to bench/results and the README"
	@echo "make gpu-bundle  dist/gpu-bundle.tar.xz: everything that a GPU host without network needs to run deploy/gpu_check/gpu_check.sh"
	@echo "make rehearse-gpu-check  the same check from the bundle on the fake CUDA driver, results in dist/rehearsal"
	@echo "make prove-container  the Dockerfile and the old operator's guide in Debian roots (as root, with debootstrap)"
	@echo "make page-asset  the viewer of the page in the publish folder, with npm; setup and wheel do it if they can"
	@echo "make wheel   dist/*.whl           make clean   build outputs, caches and $(VENV) away"

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found: install one, or make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo,test,lint,nvrtc]'
	@touch $@

# Hostile configurations, headers, compressed files, series and answers: tests/fuzz. The same SEED gives the same cases.
SECONDS ?= 60
SEED ?= 1
FUZZ_KINDS ?=
# Tests write text of every script, and a library may set the locale C in their process.
test fuzz test-peers test-fake-cuda: export PYTHONUTF8 := 1

fuzz: setup
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) --seed $(SEED) $(FUZZ_KINDS)

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

demo: setup
	$(BIN)/gpu-infer demo --output demo_output

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile deploy/custom/Dockerfile examples/my_custom_app/Dockerfile
	$(BIN)/shellcheck deploy/run_operator.sh deploy/slurm/batch.sh

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# NiiVue, the viewer of the page in the publish folder: `npm pack` by exact version and hash. A wheel has it if it is here.
page-asset:
	$(BIN)/python hatch_build.py

wheel: setup
	-@$(BIN)/python hatch_build.py
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls dist/*.whl

# BUNDLE_ARGS=--without-python for GPU hosts that have libpython3.12.so.1.0
BUNDLE_ARGS ?=
gpu-bundle gpu-bundle-simpleitk: setup
	$(BIN)/python -m deploy.gpu_check.bundle $(if $(findstring simpleitk,$@),--simpleitk) $(BUNDLE_ARGS) --folder dist

# PROVE=cpu: one part alone (cpu, guide, gpu). PROVE_FOLDER=/var/tmp/roots keeps the roots, so that a later call is faster.
PROVE ?=
PROVE_FOLDER ?=
prove-container: setup
	$(BIN)/python tests/container/prove_dockerfile.py "$(PROVE_FOLDER)" $(PROVE)

peers: $(PEERS_STAMP)

# nnU-Net without most of its requirements: its prediction needs only these and those of the extra 'peers'.
$(PEERS_STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer found: install one, or make PYTHON=/path/to/python"; exit 1; }
	@test -x $(PEERS_BIN)/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS_BIN)/python -m pip install --quiet --disable-pip-version-check '$(TORCH)'
	$(PEERS_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,peers,bench]'
	$(PEERS_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps nnunetv2==2.8.1 acvl-utils==0.2.6 \
		batchgenerators==0.25.5 dynamic-network-architectures==0.4.4
	@touch $@

test-peers: peers
	$(PEERS_BIN)/python -m pytest tests/peers $(PYTEST_ARGS)

# Built again when its sources or the kernels change; g++ compiles it.
fake-cuda: $(FAKE_STAMP)
	PYTHONPATH=tests/support $(FAKE_BIN)/python -m fakecuda.build

$(FAKE_STAMP): pyproject.toml
	@test -n "$(FAKE_PYTHON)" || { echo "no Python 3.12 or 3.11 found: install one, or make FAKE_PYTHON=/path/to/python"; exit 1; }
	@test -x $(FAKE_BIN)/python || $(FAKE_PYTHON) -m venv $(FAKE)
	$(FAKE_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,fakecuda]'
	@touch $@

test-fake-cuda: fake-cuda
	FAKECUDA_MODE=lazy $(FAKE_BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m gpu $(PYTEST_ARGS)

# All of gpu_check.sh from the bundle, as on a lent GPU host, on the fake driver; results and pictures in dist/rehearsal.
# The fake card is as large as an H200: one process runs all tests, and a pool of CuPy that is dropped keeps its memory.
rehearse-gpu-check: export FAKECUDA_BYTES := 150323855360
rehearse-gpu-check: gpu-bundle fake-cuda
	$(FAKE_BIN)/python -m pip install --quiet --disable-pip-version-check onnxruntime matplotlib
	failed=; for part in 1 2 3; do PYTHON='$(abspath $(FAKE_BIN))/python' bash deploy/gpu_check/gpu_check.sh dist/gpu-bundle.tar.xz \
		--rehearse --part $$part --patience 4 --seconds 1500 --work build/gpu_check --results dist/rehearsal || failed=yes; \
	done; test -z "$$failed"

equivalence: test-peers
	$(PEERS_BIN)/python -m bench.equivalence

# The operator alone, as a user installs it: Numba and nibabel import SciPy and pydicom where they find them.
bench: peers
	@test -x build/operator/bin/python || $(PYTHON) -m venv build/operator
	build/operator/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --force-reinstall --no-deps .
	build/operator/bin/python -m pip install --quiet --disable-pip-version-check .
	$(PEERS_BIN)/python -m bench.quick --operator build/operator/bin/gpu-infer $(if $(CT),--input '$(CT)') --results '$(RESULTS)'

# Measured before, on a quiet machine: nothing else changes the committed figures.
bench-publish: setup
	@test -n "$(BENCH)" || { echo "make bench-publish BENCH=cubic publishes one result, BENCH=\"files whole\" two, BENCH=all every one in $(RESULTS)"; exit 1; }
	$(BIN)/python -m bench.publish $(BENCH) --results '$(RESULTS)'

clean:
	rm -rf $(VENV) $(PEERS) $(FAKE) dist build demo_output bench_results .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find gpu_infer tests models bench -name __pycache__ -type d -prune -exec rm -rf {} +
