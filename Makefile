# make run    start the laboratory (first time: make .venv and install the pinned packages)
# make test   run every test, the browser's too
# make lint   check the code's form;  make readme   write the README's generated tables again;  make clean
#
# PYTHON=...    another interpreter (3.11 or newer)      ARGS="--port 8600"   passed to `negspace serve`
# CHROMIUM=...  another Chromium or Chrome for the tests
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test lint readme clean FORCE

# The first interpreter that answers and is new enough; a launcher on PATH may stand for none.
PYTHON ?= $(shell for name in python3.11 python3 python python3.12 python3.13; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$name"; break; }; done)
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
ARGS ?=
# The tests start many processes: each would compile every module again where the environment forbids keeping it.
export PYTHONDONTWRITEBYTECODE :=

# An environment knows its own path: in a moved or copied folder, or with its interpreter gone, it must be made again.
ifneq "$(shell test -x $(PY) && cat $(VENV)/.root 2>/dev/null)" "$(CURDIR)"
$(VENV)/.made: FORCE
endif

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 6

# Each stamp is written last, so that an install that broke off is done again; pip skips what is there.
$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer was not found. Install it, or run: make PYTHON=/path/to/python" >&2; exit 1; }
	@rm -rf $(VENV)
	"$(PYTHON)" -m venv $(VENV)
	@printf '%s\n' "$(CURDIR)" > $(VENV)/.root
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing the pinned packages into $(VENV): a few minutes the first time."
	$(PIP) install -q -c constraints.txt torch setuptools
	$(PIP) install -q -c constraints.txt -e .
	@echo "Compiling what the first map would otherwise wait for."
	$(PY) -c "from core.project.umap_map import warm; warm()"
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) install -q -c constraints.txt -e '.[test]'
	@touch $@

run: $(VENV)/.run
	$(VENV)/bin/negspace serve $(ARGS)

# Both parts always run, so that one failure does not hide another. Browser tests of one file share what they trained. What fails is
# tried once more, alone: tests with real processes and a real browser can come late on a busy machine; a broken one fails twice.
test: $(VENV)/.test
	@chromium="$$(sh tests/browser/find_chromium.sh)"; export CHROMIUM="$$chromium"; failed=0; \
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n logical --maxprocesses 4 -m "not browser and not bench" \
	|| OMP_NUM_THREADS=1 $(PY) -m pytest -q --lf --lfnf=none -m "not browser and not bench" || failed=$$?; \
	$(PY) -m pytest -q -n 2 --dist loadfile -m "browser or bench" || $(PY) -m pytest -q --lf --lfnf=none -m "browser or bench" || failed=$$?; \
	exit $$failed

lint: $(VENV)/.test
	$(PY) -m ruff check .

readme: $(VENV)/.run
	$(PY) -m core.cli recipes --markdown --write README.md

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis tests/browser/.failures *.egg-info
	find app.py core pages tests -name __pycache__ -type d -prune -exec rm -rf {} +
