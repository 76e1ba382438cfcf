# syntax=docker/dockerfile:1
# The one binary, built and then put alone into a small image: docker build -t h2o-allegiant .
FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked -p server \
    && cp target/release/allegiant /usr/local/bin/allegiant

FROM debian:bookworm-slim
# curl asks the readiness route; the certificates are for the model's provider.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin allegiant \
    && install --directory --owner allegiant --mode 700 /var/lib/allegiant
COPY --from=build /usr/local/bin/allegiant /usr/local/bin/allegiant
USER 10001
ENV HOST=0.0.0.0 PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD curl --fail --silent --show-error --output /dev/null "http://127.0.0.1:${PORT}/api/v1/health/readiness"
ENTRYPOINT ["allegiant"]
CMD ["serve"]
