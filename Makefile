# Targets that users and CI call. Each sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2
FUZZ_SECONDS ?= 60
# xonsh brings a pytest plugin that takes signals and slows every start; we use its parser alone.
PYTEST := $(BIN)/python -m pytest -p no:xonsh
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: install demo test e2e check bench fuzz lint types doctest proto system-packages clean FORCE

install: $(STAMP)
	@:

# Scripts in an environment name its path, so one that was moved is made again.
ifneq ($(file <$(STAMP)),$(CURDIR))
$(STAMP): FORCE
endif
$(STAMP): pyproject.toml packaging/make-venv
	@packaging/make-venv "$(PYTHON)" "$(VENV)" "$@"

demo: $(STAMP)
	@$(BIN)/pact dev shell

# By file: what the tests of one share, a journal or a node, is then started once.
test: $(STAMP) system-packages
	$(PYTEST) -n $(JOBS) --dist loadfile -m "not e2e and not serial"
	$(PYTEST) -m "serial and not e2e" || [ $$? -eq 5 ]
	$(PYTEST) -q --doctest-modules pactsh agent/pact_agent

e2e: $(STAMP) system-packages
	$(PYTEST) -m e2e

check: lint types test

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy

# Installs an optional group, and puts our own launcher back over the console script that pip makes.
define extra
@$(BIN)/python -m pip install --quiet --editable ".[$(1)]" < /dev/null || \
	{ echo "make: what [$(1)] in pyproject.toml needs can't be installed for this Python, so $@ did not run" >&2; exit 1; }
@$(BIN)/python -m pactsh.shell.launcher "$(BIN)/pactsh"
endef

bench: $(STAMP) system-packages
	$(call extra,bench)
	$(BIN)/python -m bench

fuzz: $(STAMP)
	$(call extra,fuzz)
	$(BIN)/python -m fuzz $(FUZZ_SECONDS)

proto: $(STAMP)
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. pactsh/rpc/pact.proto pactsh/delegates/lattice/*.proto

# What tests run but pip can't bring.
system-packages:
	@packaging/system-packages

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
