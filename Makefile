# `make` lists the targets. Everything runs without Node; tests that need a database start their own servers.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-builtin-rules

GO      ?= go
MODULE  := github.com/upwelldata/upwell
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# minicore_disabled leaves out a native library that Snowflake's driver embeds. Without the tag the program switches it off
# when it starts (internal/connectors/snowflake/quiet).
TAGS    := minicore_disabled
LDFLAGS := -X $(MODULE)/internal/cli.Version=$(VERSION)

# V=1 prints every test by name. PKG narrows the packages: make test PKG=./internal/plan/...
V   ?=
PKG ?= ./...
TEST := scripts/with-servers scripts/test $(if $(V),--names)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/upwell
	$(GO) build -tags '$(TAGS)' -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o bin/upwell ./cmd/upwell

.PHONY: demo
demo: build ## build, then run the demo; on a terminal it stays and shows the UI
	@if [[ -t 0 && -t 1 ]]; then exec bin/upwell demo; else exec bin/upwell demo --once; fi

.PHONY: test
test: ## run all tests against real PostgreSQL and MariaDB servers (V=1: by name)
	$(TEST) -timeout 10m $(PKG)

.PHONY: test-long
test-long: ## also the tests of the build tag `long`: crash, soak and size tests
	$(TEST) -tags long -timeout 90m -count 1 $(PKG)

.PHONY: race
race: ## run all tests under the race detector
	$(TEST) -race -timeout 30m $(PKG)

.PHONY: lint
lint: ## run the linters of .golangci.yml
	scripts/lint $(PKG)

.PHONY: format
format: ## rewrite Go files as the linters want them
	scripts/lint --format

.PHONY: bench
bench: ## run the workloads of bench/
	bench/run

.PHONY: generate
generate: ## rewrite generated files: docs/codes.md and whatever packages declare with go:generate
	$(GO) generate ./...

.PHONY: connector
connector: ## write the skeleton of a destination: make connector NAME=acme
	scripts/new-connector '$(NAME)'

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
