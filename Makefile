# Two commands need no preparation: `make demo` and `make test`. `make help` lists the rest.

CARGO ?= cargo

.DEFAULT_GOAL := help
# How long `make fuzz` runs each target.
SECONDS ?= 600

.PHONY: help deps build deb install demo test test-long differential fuzz bench instructions fmt lint msrv clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the system packages that building and testing need (Debian; apt)
	@scripts/deps

build: deps ## build the program as it is installed: target/release/canarytap
	$(CARGO) build --release --locked

deb: deps ## build the Debian package of this machine's architecture: target/debian/*.deb
	@scripts/make-deb

install: ## put program, unit, user and example configuration in place (as root, after make build)
	install -D -m 755 target/release/canarytap $(DESTDIR)/usr/bin/canarytap
	install -D -m 644 systemd/canarytap.service $(DESTDIR)/lib/systemd/system/canarytap.service
	install -D -m 644 systemd/canarytap-alert.service $(DESTDIR)/lib/systemd/system/canarytap-alert.service
	install -D -m 644 systemd/canarytap.sysusers $(DESTDIR)/usr/lib/sysusers.d/canarytap.conf
	test -e $(DESTDIR)/etc/canarytap/canarytap.toml || \
		install -D -m 644 config/canarytap.toml $(DESTDIR)/etc/canarytap/canarytap.toml
	test -n "$(DESTDIR)" || { systemd-sysusers && systemctl daemon-reload; }

demo: deps ## show the main job live: a visit from outside, the light, the log
	$(CARGO) build --locked
	@scripts/demo

test: deps ## run every test: unit, property, command line, captures, lab
	$(CARGO) test --locked

test-long: deps ## the same, with the long rounds of the lab (200 kills instead of 20)
	CANARYTAP_TEST_LONG=1 $(CARGO) test --locked

differential: deps ## compare replay with tshark over the captures of the tests
	@scripts/deps tshark
	$(CARGO) build --release --locked
	tests/differential tests/captures

fuzz: deps ## run every fuzz target for 10 minutes each; SECONDS=60 for one minute each
	@scripts/deps g++
	scripts/fuzz $(SECONDS)

bench: deps ## print figures: the rooms one by one, then whole replays beside their peers
	$(CARGO) bench --locked
	$(CARGO) build --release --locked --bins --examples
	benches/run

instructions: deps ## count the instructions that packets cost, against the table in benches/README.md
	@scripts/deps valgrind
	benches/count-instructions

fmt: ## format the source
	$(CARGO) fmt

lint: deps ## what the tests do not see: format, clippy, the core by itself, documentation
	@scripts/lint

msrv: deps ## check with the oldest Rust that is supported
	@scripts/check-msrv

clean: ## remove everything that was built, and the demo's folder
	$(CARGO) clean
	rm -rf demo
