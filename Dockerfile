# The image: `docker build -t regrant .` at the root of the repository. docs/howto/deploy.md says how it is run.
#
# Pin both images by digest where you build: `docker buildx imagetools inspect IMAGE` prints it, and `IMAGE@sha256:…` takes the
# place of the tag. Both are of the same Debian, so that the binary meets the C library that it was linked with.

FROM rust:1.95-slim-bookworm AS build
# aws-lc and SQLite are compiled from C and linked into the binary.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked --package regrant

FROM debian:bookworm-slim
# A number and not a name: Kubernetes' runAsNonRoot can only tell by the number.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/regrant
COPY --from=build /build/target/release/regrant /usr/bin/regrant
COPY LICENSE /usr/share/doc/regrant/copyright
USER 10001:10001
# Users, sessions and keys. Without a volume they go with the container.
VOLUME /var/lib/regrant
# From inside a container everybody comes from elsewhere, so an issuer must be said: -e REGRANT_SERVER__ISSUER=https://…
ENV REGRANT_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
# No HEALTHCHECK: there is nothing in this image to ask with. Let the orchestrator ask GET /health/ready over HTTP.
ENTRYPOINT ["/usr/bin/regrant", "--data", "/var/lib/regrant"]
CMD ["serve"]
