# Everything a newcomer needs. The logic is in scripts/, which also run without make.
.DEFAULT_GOAL := help
.PHONY: help run test lint bench screenshots release

help: ## list these targets
	@sed -n 's/^\([a-z]*\): ## /\1	/p' Makefile | awk -F '\t' '{ printf "  make %-12s%s\n", $$1, $$2 }'

run: ## install what is missing, build and serve (RELEASE=1: an optimised build)
	@scripts/run

test: ## install what is missing and run all tests against a throw-away PostgreSQL
	@scripts/test

lint: ## formatting, clippy, licences and advisories, scripts
	@scripts/lint

screenshots: ## every page, wide and narrow, light and dark, into target/screenshots
	@scripts/screenshots

bench: ## measure against the limits in benches/
	@./benches/run

release: ## build target/release/doorward, with TLS to a remote PostgreSQL
	@scripts/release
