# Two commands need no preparation: `make demo` and `make test`. `make help` lists the rest.

CARGO ?= cargo

# On 32-bit Debian 13 the libraries count time in 64 bits: the program has to, as well.
ifneq ($(and $(filter armhf,$(shell dpkg --print-architecture 2>/dev/null)),$(wildcard /usr/share/doc/libpcap0.8t64)),)
export RUST_LIBC_UNSTABLE_GNU_TIME_BITS := 64
endif

.DEFAULT_GOAL := help
# How long `make fuzz` runs each target.
SECONDS ?= 600
# How large `make bench` is, in per cent of the traffic that README of benches/ tells figures of.
PERCENT ?= 5
# What its last part, criterion, is told; empty for its own, longer rounds.
CRITERION ?= --quick --noplot

.PHONY: help deps build deb deb-arm64 deb-armhf install demo test test-long test-report test-pi test-debian \
	test-debian-build differential fuzz bench instructions fmt lint msrv clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the system packages that building and testing need (Debian; apt)
	@scripts/deps

build: deps ## build the program as it is installed: target/release/canarytap
	$(CARGO) build --release --locked
	scripts/check-size target/release/canarytap
	rm -rf target/assets
	$(CARGO) run --quiet --locked --example make-assets -- target/assets

deb: deps ## build the Debian package of this machine's architecture: target/debian/*.deb
	@scripts/make-deb

deb-arm64: ## the same for a 64-bit system on a Pi 3 or later: target/debian/*_arm64.deb
	@scripts/make-deb arm64

deb-armhf: ## the same for a 32-bit system on a Pi 2 or later: target/debian/*_armhf.deb
	@scripts/make-deb armhf

install: ## put program, units, user, man pages and configuration in place (as root, after make build)
	install -D -m 755 target/release/canarytap $(DESTDIR)/usr/bin/canarytap
	install -D -m 644 -t $(DESTDIR)/lib/systemd/system systemd/canarytap.service systemd/canarytap.path \
		systemd/alert/canarytap-alert.service
	install -D -m 644 systemd/canarytap.sysusers $(DESTDIR)/usr/lib/sysusers.d/canarytap.conf
	install -D -m 644 systemd/canarytap.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/canarytap.conf
	for section in 1 5; do \
		install -d $(DESTDIR)/usr/share/man/man$$section && \
		install -m 644 -t $(DESTDIR)/usr/share/man/man$$section target/assets/man$$section/* || exit; done
	install -D -m 644 target/assets/completions/canarytap.bash \
		$(DESTDIR)/usr/share/bash-completion/completions/canarytap
	install -D -m 644 -t $(DESTDIR)/usr/share/zsh/vendor-completions target/assets/completions/_canarytap
	install -D -m 644 -t $(DESTDIR)/usr/share/fish/vendor_completions.d target/assets/completions/canarytap.fish
	install -D -m 644 config/visitors.toml $(DESTDIR)/usr/share/canarytap/visitors.toml
	test -e $(DESTDIR)/etc/canarytap/canarytap.toml || \
		install -D -m 644 config/canarytap.toml $(DESTDIR)/etc/canarytap/canarytap.toml
	test -n "$(DESTDIR)" || { systemd-sysusers && systemd-tmpfiles --create canarytap.conf && \
		systemctl daemon-reload; }

demo: deps ## show the main job live: a visit from outside, the light, the log
	$(CARGO) build --locked
	@scripts/demo

test: deps ## run every test: unit, property, command line, captures, lab
	$(CARGO) test --locked

test-long: deps ## the same with its long rounds, then the fresh Debians and the emulated boards (root; hours)
	@scripts/deps axe-core
	CANARYTAP_TEST_LONG=1 $(CARGO) test --locked
	$(MAKE) test-debian
	$(MAKE) test-debian-build
	$(MAKE) test-pi

test-report: deps ## look at the report in Chromium with axe-core (npm) as well
	@scripts/deps axe-core
	CANARYTAP_TEST_LONG=1 $(CARGO) test --locked --test report_page

PI_PROGRAMS = $(foreach triple,aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf,target/$(triple)/release/canarytap)
test-pi: ## run the programs for a Pi on emulated boards, and watch their pins from outside (QEMU)
	@scripts/deps python3 qemu-system-aarch64 qemu-aarch64 depmod cpio objdump readelf
	scripts/cross arm64 cargo build --release --locked
	scripts/cross armhf cargo build --release --locked
	tests/pi/replay $(PI_PROGRAMS)
	tests/pi/prepare $(PI_PROGRAMS)
	tests/pi/run

test-debian: deb ## take the package through its life on a fresh Debian 13 and 12, under systemd (root)
	@scripts/deps debootstrap systemd-nspawn lintian
	tests/debian/run trixie bookworm

test-debian-build: deps ## run demo and test on a fresh Debian 13, with its own cargo, from a clean clone (root)
	@scripts/deps debootstrap
	tests/debian/build

differential: deps ## compare replay with tshark over the captures of the tests
	$(CARGO) build --release --locked
	python3 tests/differential tests/captures

fuzz: deps ## run every fuzz target for 10 minutes each; SECONDS=60 for one minute each
	@scripts/deps g++
	scripts/fuzz $(SECONDS)

bench: deps ## print figures: replays beside their peers, a wire, growth, rooms; PERCENT=100 for full size
	@scripts/deps tcpdump tcpreplay valgrind
	$(CARGO) build --release --locked --bin canarytap --example make-traffic --example make-store
	scripts/check-size target/release/canarytap
	benches/run --percent $(PERCENT) --peers
	@if [ "$$(id -u)" -eq 0 ]; then benches/live --percent $(PERCENT); \
		else echo "benches/live, the daemon on a wire, needs root and is left out"; fi
	benches/count-instructions --growth
	benches/report --percent $(PERCENT)
	$(CARGO) bench --locked --bench engine --bench matcher --bench tls --bench store -- $(CRITERION)

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
