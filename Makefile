# make            bin/sipd and bin/addsipuser, static and reproducible
# make run        a server with two users on this machine; ARGS="--set Name=value" adds flags; see README.md
# make test       everything a change must pass (PKGS=./config/... for a part); make test-deps installs what the
#                 tests can use (Debian, root)
# make check      format, vet, staticcheck, import table, module files
# make flows      every call flow with its clauses; make mutate breaks the server a hundred ways and sees flows fail
# make soak       half a load for SOAK (30m): registrations, calls and nonsense; SOAK_DB=postgres, SOAK_RATE=calls/s
# make scale      a million users and bindings, a large import, ten thousand connections: what they weigh and take
# make fuzz       every fuzz target for FUZZTIME

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# The version is stamped below; asking git for more fails in a checkout that somebody else owns.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s
SOAK ?= 30m
PKGS ?= ./...
DATA ?= ./data
SIZES := ./canonicalize/pattern ./store/cache ./store/sqlstore ./location ./server ./server/transport ./cmd/sipd

.PHONY: all build run check test test-deps flows mutate fuzz e2e outage soak scale clean

all: build

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

run: build
	@if [ -z "$$(ls -A $(DATA) 2>/dev/null)" ]; then bin/sipd quickstart --data $(DATA) alice bob; else cat $(DATA)/quickstart.txt; fi
	@exec bin/sipd run -D sqlite:$(DATA)/sipd.db $(ARGS)

check:
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not gofmt-ed:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go test -count=1 ./internal/archtest
	go mod tidy -diff
	go mod verify

# testsum prints a line a package, what failed, and what was skipped; SIPD_TEST_REQUIRE=all makes a skip a failure. What
# the race detector would falsify (time, memory) is built without it and runs by itself.
test: build
	@go build -o bin/.testsum ./internal/testsum
	@set +e; { go test -race -shuffle=on -timeout 20m -json $(PKGS); race=$$?; \
		$(if $(filter ./... ./store/%,$(PKGS)),go test -count=1 -run '^TestSize' -json $(SIZES),true); exit $$((race | $$?)); } | bin/.testsum; \
	s=("$${PIPESTATUS[@]}"); exit $$((s[0] | s[1]))

# A million users with four credentials, a million contacts, 100,000 users imported, 10,000 connections: what they weigh and how long they
# take, a few minutes. The same tests are part of make test with fewer.
scale:
	SIPD_SCALE_USERS=1000000 go test -count=1 -v -timeout 30m -run '^TestSize' $(SIZES)
	SIPD_BENCH_USERS=1000000 go test -run '^$$' -bench '^BenchmarkLoad$$' -benchtime 1x -timeout 60m ./store/cache

# Real sockets, real phones, both databases; part of make test.
e2e: build
	go test -race -count=1 -v ./test/...

# Every way in which a database goes away and comes back, with traffic on: a few minutes, better as root. docs/outage.md
# tells what the table means.
outage: build
	go test -count=1 -timeout 20m -v -run '^TestOutage$$' ./test -args -outage

# Another apt-get that holds the lock is waited for; nothing is asked.
APT := DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3

test-deps:
	@[ "$$(id -u)" = 0 ] && [ -f /etc/debian_version ] || { echo "test-deps: run it as root on Debian; elsewhere install: gcc postgresql baresip linphonec nsd openssl sox iproute2" >&2; exit 1; }
	$(APT) update
	$(APT) install --no-install-recommends gcc libc6-dev git iproute2 postgresql baresip-core linphone-cli nsd openssl sox

# Every call flow with the clauses that it shows (docs/flows.md).
flows:
	@cd server && go test -count=1 -run '^TestFlows$$' -flows

# A hundred ways to break the server, each of which some flow must notice (internal/mutate).
mutate:
	go run ./internal/mutate

fuzz:
	.ci/fuzz $(FUZZTIME)

# A real server under mixed load for long; the end of it takes four more minutes. What it checks is in test/soak_test.go.
soak:
	SOAK=$(SOAK) go test -count=1 -v -timeout 0 -run '^TestSoak$$' ./test

clean:
	rm -rf bin
