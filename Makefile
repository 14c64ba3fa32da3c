# make help         what there is
# make demo         set up, then two episodes in the simulator with the shipped checkpoint
# make test lint    what continuous integration runs (.ci/run)
#
# PYTHON=python3.11            the interpreter that makes .venv (3.11 or later)
# TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"   where pip takes torch from
# DEMO_ARGS="..."  PYTEST_ARGS="..."   passed on

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A version manager may put names on the PATH that do not run: take the first that does.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The real lerobot library, whose requirements exclude ours: in an environment of its own.
LEROBOT_VENV := .venv-lerobot
LEROBOT_READY := $(LEROBOT_VENV)/.ready
# torchvision: the newest that lerobot allows. Its compiled operators do not load beside a CPU build
# of torch, and none of them is used; tests/lerobot/shim declares the one that its import looks up.
LEROBOT := lerobot==0.4.4 torchvision==0.25.0
LEROBOT_SHIM := tests/lerobot/shim/torchvision_operators.py
PLUGIN := packages/lerobot_policy_rain
# AI2's vla-eval, for packages/rain_vla_eval.
VLA_EVAL_VENV := .venv-vla-eval
VLA_EVAL_READY := $(VLA_EVAL_VENV)/.ready
VLA_EVAL := vla-eval==0.8.0
# Physical Intelligence's openpi-client, which needs NumPy 1: it asks our server from outside.
OPENPI_VENV := .venv-openpi
OPENPI_READY := $(OPENPI_VENV)/.ready
OPENPI := openpi-client==0.1.2 typing-extensions
# ROS 2 from PyPI, for the robot's side; an installed ROS 2 does as well.
ROS_VENV := .venv-ros
ROS_READY := $(ROS_VENV)/.ready
ROS := ros-jazzy-rclpy[fastrtps]==7.1.6 ros-sensor-msgs==5.3.6 ros-trajectory-msgs==5.3.6
CONSTRAINTS := constraints/cpu.txt
TORCH := $(shell grep '^torch==' $(CONSTRAINTS))
# MuJoCo's two off-screen renderers: EGL (preferred) and OSMesa.
GL_PACKAGES := libegl1 libgl1 libosmesa6
# What the tests of the operator's page and its causal test drive; only `make test` asks for it.
BROWSER :=

.PHONY: help setup system demo tables test test-lerobot test-vla-eval test-openpi test-ros robot-demo lint format doctor clean

help:
	@echo "make setup   create .venv and install RAIN with the simulator and the tools"
	@echo "make demo    set up, run a LIBERO and a LIBERO-EX task, write demo.mp4"
	@echo "make test    set up, then run the tests (installs chromium, for those of the page)"
	@echo "make test-lerobot   the real lerobot reads our datasets and trains RAIN, in .venv-lerobot"
	@echo "make test-vla-eval  LIBERO-EX in the real vla-eval, in .venv-vla-eval"
	@echo "make test-openpi    the real openpi-client at our policy server, in .venv-openpi"
	@echo "make robot-demo     simulated arm, mask server, policy server and client together"
	@echo "make test-ros       the robot's client and the simulated arm over ROS 2, in .venv-ros"
	@echo "make tables  LIBERO, LIBERO-EX, region following: OPEN=checkpoint PROTOCOL=checkpoint"
	@echo "make lint    set up, then ruff (rules and format) and mypy"
	@echo "make format  let ruff mend what it can"
	@echo "make doctor  set up, then say what works on this machine"
	@echo "make clean   remove .venv and the caches"

setup: $(READY)

# Installs the Debian packages that are missing; a few milliseconds where none is. Debian splits
# ensurepip, without which no virtual environment can be made, from its Python.
system:
	@if [ -z "$(PYTHON)" ]; then echo "make: Python 3.11 or later is needed" >&2; exit 1; fi
	@if ! command -v dpkg >/dev/null; then \
	  echo "make: not a Debian system: where 'rain doctor' misses libEGL, libGL or OSMesa, install" \
	       "them with its package manager"; exit 0; fi; \
	wanted="$(GL_PACKAGES) $(BROWSER)"; \
	if [ ! -x $(BIN)/pip ] && ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  wanted="$$wanted $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; fi; \
	missing=""; for p in $$wanted; do \
	  dpkg -s $$p 2>/dev/null | grep -q '^Status: install ok installed' || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ]; then sudo=""; \
	elif command -v sudo >/dev/null; then sudo="sudo"; \
	else echo "make: packages are missing; as root: apt-get install$$missing" >&2; exit 1; fi; \
	echo "make: installing$$missing"; \
	$$sudo apt-get update -qq; \
	$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing

# The stamp makes the second run quick. torch goes first and alone: with it already there, pip
# does not look for another build of it while it solves for the rest.
$(READY): pyproject.toml $(CONSTRAINTS) | system
	@if [ ! -x $(BIN)/pip ]; then $(PYTHON) -m venv $(VENV); fi
	$(BIN)/python -m pip install --quiet $(TORCH_ARGS) $(TORCH)
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[sim,efficientnet,remote,serve,dashboard,dev]'
	@touch $@

demo: $(READY) | system
	$(BIN)/rain demo $(DEMO_ARGS)

# OPEN and PROTOCOL: a checkpoint of each track. Hours; goes on where it was stopped.
OPEN ?= rain-nano
tables: $(READY) | system
	$(BIN)/rain bench tables --open $(OPEN) $(if $(PROTOCOL),--protocol $(PROTOCOL)) --page docs/results.md $(TABLES_ARGS)

test: BROWSER := chromium
# One process a core, whose libraries take no further threads. A file's tests share what they set up.
PROCESSES ?= auto
test: $(READY) | system
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(PYTEST_ARGS)

$(LEROBOT_READY): constraints/lerobot.txt $(PLUGIN)/pyproject.toml $(LEROBOT_SHIM) | system
	@if [ ! -x $(LEROBOT_VENV)/bin/pip ]; then $(PYTHON) -m venv $(LEROBOT_VENV); fi
	$(LEROBOT_VENV)/bin/python -m pip install --quiet $(TORCH_ARGS) $(TORCH)
	$(LEROBOT_VENV)/bin/python -m pip install --quiet -r constraints/lerobot.txt
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --no-deps $(LEROBOT)
	$(LEROBOT_VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e . -e $(PLUGIN)
	@site=$$($(LEROBOT_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	cp $(LEROBOT_SHIM) $$site/; echo "import torchvision_operators" >$$site/torchvision_operators.pth
	@touch $@

test-lerobot: $(LEROBOT_READY)
	$(LEROBOT_VENV)/bin/python -m pytest tests/lerobot $(PYTEST_ARGS)

# vla-eval asks for nothing that ours excludes: a second environment that sees the first's packages
# keeps what it brings out of .venv.
$(VLA_EVAL_READY): $(READY) packages/rain_vla_eval/pyproject.toml
	@if [ ! -x $(VLA_EVAL_VENV)/bin/pip ]; then $(PYTHON) -m venv $(VLA_EVAL_VENV); fi
	$(VLA_EVAL_VENV)/bin/python -m pip install --quiet $(VLA_EVAL)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$($(VLA_EVAL_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rain.pth"
	@touch $@

test-vla-eval: $(VLA_EVAL_READY)
	PYTHONPATH=src $(VLA_EVAL_VENV)/bin/python -m pytest tests/vla_eval $(PYTEST_ARGS)

$(OPENPI_READY): Makefile | system
	@if [ ! -x $(OPENPI_VENV)/bin/pip ]; then $(PYTHON) -m venv $(OPENPI_VENV); fi
	$(OPENPI_VENV)/bin/python -m pip install --quiet $(OPENPI)
	@touch $@

test-openpi: $(READY) $(OPENPI_READY)
	RAIN_OPENPI_PYTHON=$(OPENPI_VENV)/bin/python $(BIN)/python -m pytest tests/openpi $(PYTEST_ARGS)

# As vla-eval: it sees .venv's packages, and keeps what ROS 2 brings out of there.
$(ROS_READY): $(READY)
	@if [ ! -x $(ROS_VENV)/bin/pip ]; then $(PYTHON) -m venv $(ROS_VENV); fi
	$(ROS_VENV)/bin/python -m pip install --quiet -c $(CONSTRAINTS) $(ROS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
	  "$$($(ROS_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rain.pth"
	@touch $@

robot-demo: $(ROS_READY)
	PYTHONPATH=$(CURDIR)/src $(ROS_VENV)/bin/python -m rain.cli.main robot demo $(DEMO_ARGS)

test-ros: $(ROS_READY)
	PYTHONPATH=$(CURDIR)/src $(ROS_VENV)/bin/python -m pytest tests/ros $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

doctor: $(READY)
	$(BIN)/rain doctor

clean:
	rm -rf $(VENV) $(LEROBOT_VENV) $(VLA_EVAL_VENV) $(OPENPI_VENV) $(ROS_VENV) .mypy_cache .ruff_cache .pytest_cache build dist src/*.egg-info
