# Baton. `make run` needs Python 3.11 or newer and make; `make test` Chromium too, and Node 20 for the widget's own tests.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check widget bench lock clean test-resilience audit sbom env-example check-widget-build check-railway \
	chromium faketime widget-tests example-apps pictures

BIN := .venv/bin
PY := $(BIN)/python
NEWER = import sys; sys.exit(sys.version_info < (3, 11))
FAKETIME := /usr/lib/*/faketime/libfaketime.so.1 /usr/lib/faketime/libfaketime.so.1 /usr/local/lib/faketime/libfaketime.so.1
# Tests wait more than they compute, so three processes keep two cores busy; a file's tests stay together in one of them.
# The browser tests, the slowest, come first (tests/conftest.py), so that the processes end at about the same time.
PARALLEL := -n 3 --dist loadfile --no-loadscope-reorder
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(if $(SEMANTIC),.venv/.semantic,.venv/.run) ## start the service on http://127.0.0.1:8000 (HOST, PORT, WEB_CONCURRENCY, SEMANTIC=1 change that)
	@$(if $(SEMANTIC),export BATON_EMBEDDINGS=local; )export HOST="$${HOST:-127.0.0.1}" PORT="$${PORT:-8000}" BATON_TYPING_SPEED="$${BATON_TYPING_SPEED-25}"; \
	$(PY) app/config.py || exit 1; \
	echo "Starting..."; RUN_BY_MAKE=1 \
	exec $(PY) -m gunicorn --config gunicorn.conf.py "app:create_app()"

test: .venv/.dev .venv/.semantic chromium widget-tests example-apps ## run every test, those in a real Chromium included (ARGS="-k ticket" for some)
	$(PY) -m pytest $(PARALLEL) -m "not slow" $(ARGS)

check: .venv/.dev check-widget-build check-railway ## lint, format, types, import rules, the built widget, Docker and Railway files, licences
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict app
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile
	$(PY) -m scripts.sbom

audit: .venv/.dev ## ask a public database for known vulnerabilities of what runs (needs the network)
	$(PY) -m scripts.audit

sbom: .venv/.dev ## write bills of materials (CycloneDX) into sbom/ and check licences; needs no network
	$(PY) -m scripts.sbom

env-example: .venv/.dev ## write .env.example out of app/config.py and docs/operating.md
	$(PY) -m scripts.env_example

widget: widget/node_modules/.stamp ## build app/static out of widget/
	cd widget && npm run check && npm run build

bench: .venv/.dev ## measure side by side, as ratios (BENCH=http for one)
	$(PY) -m bench $(BENCH)

pictures: .venv/.dev chromium ## make the pictures of the README and the docs from the real service
	$(PY) -m bench.pictures

test-resilience: .venv/.dev chromium faketime ## run every fault and attack, those that take minutes included, and print a table of them
	$(PY) -m pytest --resilience $(ARGS)

lock: ## compile requirements*.txt from pyproject.toml, with hashes and without addresses (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: python3 -m pip install uv"; exit 1; }
	$(call pin,requirements.txt,)
	$(call pin,requirements-dev.txt,--extra dev --constraint requirements.txt)
	$(call pin,requirements-semantic.txt,--extra semantic --constraint requirements.txt)
	@! grep -n '://' requirements.txt requirements-dev.txt requirements-semantic.txt

clean: ## remove what was installed and built for tests; the data folder stays
	rm -rf .venv widget/node_modules widget/*/dist examples/node_modules examples/*/dist .railway/node_modules sbom .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define pin
	{ echo '# Made from pyproject.toml by `make lock`; every hash of every platform, no address.'; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-annotate --no-header --upgrade $(2) pyproject.toml; } > $(1).new
	mv $(1).new $(1)
endef

# uv when it is there (3 s instead of 24 s), else pip; both refuse what has not its hash.
define install
	@echo "Installing the packages of $(1) into .venv (about half a minute without uv; once only)"
	@{ command -v uv >/dev/null && uv pip install --quiet --python $(PY) --require-hashes -r $(1); } \
	|| $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@touch $@
endef

$(PY):
	@echo "Making a Python environment in .venv"
	@for python in python3.11 python3.12 python3.13 python3.14 python3; do \
	  if command -v $$python >/dev/null && $$python -c '$(NEWER)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	[ -n "$$found" ] || { echo "Baton needs Python 3.11 or newer: none is on PATH."; exit 1; }; \
	{ command -v uv >/dev/null && uv venv --quiet --clear --seed --python $$found .venv; } \
	|| $$found -m venv --clear .venv \
	|| { rm -rf .venv; echo "Python's venv is missing: apt-get install python3-venv (Debian, as root)."; exit 1; }

.venv/.run: requirements.txt | $(PY)
	$(call install,requirements.txt)

.venv/.semantic: requirements-semantic.txt | $(PY)
	$(call install,requirements-semantic.txt)
	@touch .venv/.run

.venv/.dev: requirements-dev.txt | $(PY)
	$(call install,requirements-dev.txt)
	@touch .venv/.run

# Its headless shell, as Playwright brings it, costs a quarter of a whole Chromium for each page that a test opens.
chromium:
	@command -v chromium-headless-shell >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium's headless shell for the browser tests"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null && exit 0; \
	  echo "Looking for another Chromium"; \
	fi; \
	for browser in $(BROWSERS); do command -v $$browser >/dev/null && exit 0; done; \
	for kept in "$$HOME"/.cache/ms-playwright/chromium*; do [ -d "$$kept" ] && exit 0; done; \
	echo "The tests need Chromium: apt-get install chromium as root, or $(BIN)/playwright install chromium"; exit 1

# libfaketime, preloaded into the servers under test, moves their clocks (F12).
faketime:
	@for library in $(FAKETIME); do [ -e "$$library" ] && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing libfaketime for tests that move the clock"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends libfaketime >/dev/null; \
	else echo "The resilience tests need libfaketime: apt-get install libfaketime as root"; exit 1; fi

widget/node_modules/.stamp: widget/package-lock.json
	cd widget && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

widget-tests:
	@if command -v npm >/dev/null; then \
	  $(MAKE) --no-print-directory widget/node_modules/.stamp .railway/node_modules/.stamp && cd widget && npm test; \
	elif [ -n "$$CI" ]; then echo "The widget's own tests need Node 20 or newer."; exit 1; \
	else echo "Left out: the widget's own unit tests (no Node here); the browser tests run all the same."; fi

# Types only: the file is applied by Railway's own command line, with an account.
check-railway: .railway/node_modules/.stamp widget/node_modules/.stamp
	widget/node_modules/.bin/tsc --project .railway/tsconfig.json

.railway/node_modules/.stamp: .railway/package-lock.json
	cd .railway && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

examples/node_modules/.stamp: examples/package-lock.json $(wildcard examples/*/package.json)
	cd examples && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# The components for React and Vue, and what the applications that use them need.
example-apps:
	@command -v npm >/dev/null || { echo "Left out: the components for React and Vue (no Node here)."; exit 0; }; \
	$(MAKE) --no-print-directory widget/node_modules/.stamp examples/node_modules/.stamp \
	&& cd widget && npm run --silent build:components

check-widget-build:
	@command -v npm >/dev/null || { echo "make check needs Node 20 or newer."; exit 1; }
	@$(MAKE) --no-print-directory widget/node_modules/.stamp
	cd widget && npm run check && npm run verify
