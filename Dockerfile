# The API's reference page, which the binary embeds.
FROM node:22-bookworm-slim AS web
WORKDIR /src/server/docs/web
COPY server/docs/web/package.json server/docs/web/package-lock.json server/docs/web/.npmrc ./
RUN npm ci
COPY server/docs/web/ ./
RUN npm run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
COPY --from=web /src/server/docs/dist server/docs/dist
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags "-s -w" -o /hcp ./cmd/hcp

# One static binary and the certificates to verify peers with; no shell, no root.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /hcp /hcp
USER 65532:65532
ENTRYPOINT ["/hcp"]
