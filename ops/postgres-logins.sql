-- The login of `allegiant serve`, made once in a new cluster, for ./dev and docker-compose.yml alike.
-- It owns nothing: its rights are those that the migrations give to allegiant_server.
\set ON_ERROR_STOP on
\if :{?server_password}
\else
  \set server_password `cat /run/secrets/postgres_server_password`
\endif
CREATE ROLE allegiant_server NOLOGIN;
CREATE ROLE allegiant LOGIN PASSWORD :'server_password' IN ROLE allegiant_server;
