# Everything a newcomer needs. The logic is in scripts/, which also run without make.
.DEFAULT_GOAL := help
.PHONY: help run test fuzz chaos audit lint bench strangers fair cluster bench-data bench-size screenshots release

help: ## list these targets
	@sed -n 's/^\([a-z-]*\): ## /\1	/p' Makefile | awk -F '\t' '{ printf "  make %-12s%s\n", $$1, $$2 }'

run: ## install what is missing, build and serve (RELEASE=1: an optimised build)
	@scripts/run

test: ## install what is missing and run all tests against a throw-away PostgreSQL
	@scripts/test

fuzz: ## look for bytes that break what the parsers promise (SECONDS_EACH=60)
	@scripts/fuzz

audit: ## let schemathesis, sqlmap and wapiti loose on a running server; any finding fails (EXAMPLES, SEED)
	@scripts/audit

lint: ## formatting, clippy, licences and advisories, scripts
	@scripts/lint

screenshots: ## every page, wide and narrow, light and dark, into target/screenshots; and the README's picture
	@scripts/screenshots

chaos: ## every fault of docs/reliability.md, a hundred rounds where a round is short; some nine minutes (ROUNDS)
	@scripts/chaos

bench: ## measure against the limits in benches/
	@./benches/run

strangers: ## what the clock tells of refused sign-ins, and how long others wait beside a thousand idle and slow connections
	@./benches/strangers

fair: ## what others notice of a flood of right passwords, and of searches through two million notes
	@./benches/fair

cluster: ## three nodes behind a balancer: how soon what one ends the others refuse, while parts are killed
	@./benches/cluster

bench-data: ## fill a database with a million users and sessions (USERS, SESSIONS, NOTES; DATABASE_URL or one kept in target/)
	@./benches/data fill

bench-size: ## measure what things cost as that database grows
	@./benches/data measure

release: ## build target/release/doorward, with TLS to a remote PostgreSQL
	@scripts/release
