# Sourced by ../../dev: the secrets of docker-compose.yml.
# shellcheck shell=bash

# Makes each secret once, so that running it again changes nothing. The directory keeps them from other users; the files
# themselves are readable, since a container reads them as a user that this machine does not know.
compose_secrets() {
  local dir=$DEV/compose postgres server nats redis
  own_directory
  mkdir -p "$dir" && chmod 700 "$dir"
  postgres=$(compose_secret postgres_password) server=$(compose_secret postgres_server_password)
  nats=$(compose_secret nats_password) redis=$(compose_secret redis_password)
  printf '%s' "postgres://postgres:$postgres@postgres:5432/allegiant" >"$dir/migration_database_url"
  printf '%s' "postgres://allegiant:$server@postgres:5432/allegiant" >"$dir/database_url"
  printf '%s' "nats://allegiant:$nats@nats:4222" >"$dir/nats_url"
  printf '%s' "redis://default:$redis@redis:6379" >"$dir/redis_url"
  [[ -s $dir/master_key ]] || head -c 32 /dev/urandom | base64 >"$dir/master_key"
  [[ -s $dir/signing_key ]] || head -c 32 /dev/urandom | base64 >"$dir/signing_key"
  [[ -e $dir/openai_api_key ]] || printf '%s' "${OPENAI_API_KEY-}" >"$dir/openai_api_key"
  say "the secrets are in $dir; keep master_key safe, without which personal data cannot be read, and signing_key secret"
}

compose_secret() {
  [[ -s $DEV/compose/$1 ]] || printf 'p%s' "$(random_hex)" >"$DEV/compose/$1"
  cat "$DEV/compose/$1"
}
