#!/bin/sh
# Makes the hosts' role and database when the server is started for the first time: docs/OPERATIONS.md, PostgreSQL's role.
# The image's entry point has put the password into POSTGRES_PASSWORD by then.
set -eu
psql --username=postgres --set=ON_ERROR_STOP=1 <<'SQL'
\getenv password POSTGRES_PASSWORD
CREATE ROLE hallmark LOGIN PASSWORD :'password' NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
CREATE DATABASE hallmark OWNER hallmark;
\connect hallmark
ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF;
SQL
