# SPDX-License-Identifier: BSD-3-Clause
# The two commands for a newcomer: make demo, make test. Both call setup themselves.

.PHONY: help setup demo test deaths chaos bench-deaths lint format bench fuzz sim clean
sim: SEEDS ?= 2000
SECONDS_EACH ?= 30

help:
	@echo 'make demo              watch a NAT grow from one instance to three and shrink back, under traffic'
	@echo 'make test              all tests'
	@echo 'make deaths            all tests of deaths, stalls and cuts under traffic; make test has the shorter ones'
	@echo 'make chaos SECONDS=60  kills, stops, cuts and scaling at random under traffic; HOSTS=2 or 3; SEED= repeats a run'
	@echo 'make setup             packages, hugepages, virtual environments, build (demo and test call it)'
	@echo 'make lint              format, types, lengths, reading order'
	@echo 'make format            lets the formatters have their way'
	@echo 'make bench             benchmarks, under 15 minutes: bench-results.json and .png; BENCHMARKS=… only those'
	@echo 'make bench-deaths      what deaths cost 1,000 TCP connections, and view changes by leases, as JSON'
	@echo 'make fuzz              each fuzz target for SECONDS_EACH=30 seconds'
	@echo 'make sim SEEDS=2000    the simulator over that many seeds'
	@echo 'make clean             removes what was built, and the virtual environments'

setup:
	@deploy/setup/setup.sh

demo: setup
	@.venv/bin/shoal demo $(DEMO)

test: setup
	@python3 -m tests.ci.run_tests $(PARTS)

deaths: setup
	@.venv/bin/python -m pytest -q -m '' tests/chaos

bench-deaths: setup
	@.venv/bin/python -m tests.chaos.figures

# SEED: another one each time, and printed.
chaos: SECONDS ?= 60
chaos: HOSTS ?= 1
chaos: setup
	@.venv/bin/python -m tests.chaos --seconds $(SECONDS) --hosts $(HOSTS) $(if $(SEED),--seed $(SEED))

lint: setup
	@python3 -m tests.ci.run_lint

bench: setup
	@python3 -m tests.ci.run_bench $(BENCHMARKS)

fuzz: setup
	@python3 -m tests.ci.run_fuzz $(SECONDS_EACH)

sim: setup
	@python3 -m tests.ci.run_sim $(SEEDS) $(FIRST)

format: setup
	@git ls-files '*.c' '*.h' | xargs -r .venv/bin/clang-format -i
	@.venv/bin/ruff format -q .

clean:
	rm -rf build build-* .venv .venv-trex
