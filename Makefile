# Thin: what each target does is in scripts/. 'make help' lists them.
PYTHON := .venv/bin/python
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down test test-v2 test-unit lint bench fuzz images lock docs pictures site

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 18

setup: ## install what development needs (packages, .venv)
	@scripts/setup --dev

demo: ## bring up the guestbook, from nothing
	@scripts/demo up

demo-down: ## remove the guestbook and what the demo started
	@scripts/demo down

test: ## run every test (root)
	@scripts/test

test-v2: setup ## run the tests of control groups on cgroup v2, in an emulated machine (root)
	@scripts/test-v2 --short

test-unit: setup ## run the fast tests: no root, no network
	@$(PYTHON) -m pytest -q tests/unit

lint: setup ## ruff check, ruff format --check, mypy --strict
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

bench: setup ## measure stackr beside Docker Compose on dockerd (root); writes bench/results
	@$(PYTHON) -m bench

docs: setup ## write what of docs/ is made from the models and the plan: tables, schemas
	@$(PYTHON) scripts/write_tables.py
	@$(PYTHON) -m stackr.spec.schema.extension docs/schema
	@$(PYTHON) -m stackr.planner.review.schema docs/schema

pictures: setup ## make docs/pictures anew: terminals and the dashboard (root)
	@$(PYTHON) scripts/pictures.py
	@STACKR_GOLDEN=write $(PYTHON) -m pytest -q tests/unit/ui -k pictures

site: setup ## make the documents a site, in build/site
	@scripts/site

fuzz: setup ## give the property tests made-up input for FUZZ_SECONDS (60)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTHON) tests/fuzz.py

images: ## build the images and serve them from a registry on loopback (root)
	@scripts/images all

lock: ## write requirements/*.txt from pyproject.toml
	@scripts/lock
