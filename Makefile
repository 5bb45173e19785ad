# The two commands of README.md. Each installs what it needs and says what it cannot install.

HALLMARK = target/release/hallmark

# Nothing is built before the set-up has ended, whatever -j says.
.NOTPARALLEL:

.PHONY: run test build plugins setup-run setup-test

run: setup-run plugins
	$(HALLMARK) serve --listen 127.0.0.1:8080 --data ./data --modules examples/modules --policies examples/policies

test: setup-test
	.ci/test

build:
	cargo build --release --locked --bin hallmark

plugins: build
	$(HALLMARK) plugin build plugins/placeholders plugins/agent-rules plugins/service-rules plugins/template-rules plugins/cel

setup-run:
	@.ci/setup run

setup-test:
	@.ci/setup test
