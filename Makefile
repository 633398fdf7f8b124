# Two commands do everything: `make play` and `make test`.
PY := .venv/bin/python
UV := $(shell command -v uv || echo .venv/bin/uv)
TORCH_BACKEND ?=
COMPILE := $(UV) pip compile pyproject.toml --quiet --generate-hashes --no-header --no-annotate

.PHONY: play test check lint setup lock wheel format practice builds leaks sensitivity baselines board screenshots sheets stimuli bench full-size docs clean

play: .venv/runs
	$(PY) -m auditgame play

test: setup
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal

check: lint
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist worksteal -m "not slow and not browser"

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

setup: .venv/develops

# What runs, and what develops: the second lock holds the first.
.venv/runs: requirements.lock pyproject.toml
.venv/develops: requirements-dev.lock pyproject.toml
.venv/runs .venv/develops:
	command -v uv >/dev/null || { python3 -m venv .venv && .venv/bin/pip install --quiet uv; }
	test -x $(PY) || $(UV) venv --quiet --allow-existing --python '>=3.11' .venv
	$(UV) pip install --quiet --python $(PY) $(if $(TORCH_BACKEND),--torch-backend=$(TORCH_BACKEND)) -r $<
	$(UV) pip install --quiet --python $(PY) --no-deps -e .
	touch $@

lock: setup
	$(COMPILE) | $(PY) .ci/lock.py > requirements.lock.new
	$(COMPILE) --constraint requirements.lock.new --group dev --group docs --extra hf --extra postgres | $(PY) .ci/lock.py > requirements-dev.lock.new
	mv requirements.lock.new requirements.lock
	mv requirements-dev.lock.new requirements-dev.lock

wheel: setup
	$(PY) .ci/wheel.py

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

practice: setup
	OMP_NUM_THREADS=1 $(PY) -m auditgame pack challenges/practice.yaml --out challenges/practice --publish-key --jobs 2

builds: setup
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.builds --jobs 2

leaks: setup
	$(PY) -m benchmarks.leaks

sensitivity: setup
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.tool_sensitivity --jobs 2

baselines: setup
	OMP_NUM_THREADS=1 $(PY) -m challenges.run_baselines --jobs 2

board: setup
	$(PY) -m benchmarks.auditor_results

screenshots: setup
	$(PY) -m website.screenshots

sheets: setup
	OMP_NUM_THREADS=1 $(PY) -m website.unit_sheets

stimuli: setup
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.superstimulus

bench: setup
	$(UV) pip install --quiet --python $(PY) -r benchmarks/peers.txt
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.image_peers
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.text_peers

full-size: setup
	$(PY) -m benchmarks.full_size --jobs 2

# The documentation site, in build/docs: every warning is an error, every internal link is checked.
docs: setup
	$(PY) -m website.build

clean:
	rm -rf .venv build *.egg-info
