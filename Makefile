# Targets that users and CI call. Each sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: install demo test e2e check bench fuzz lint types clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@packaging/make-venv "$(PYTHON)" "$(VENV)"
	@touch $@
