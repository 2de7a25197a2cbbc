# The API's reference page and the console pages, which the binary embeds.
FROM node:22-bookworm-slim AS web
WORKDIR /src/server/docs/web
COPY server/docs/web/package.json server/docs/web/package-lock.json server/docs/web/.npmrc ./
RUN npm ci
WORKDIR /src/server/console/web
COPY server/console/web/package.json server/console/web/package-lock.json server/console/web/.npmrc ./
RUN npm ci
COPY server/docs/web/ /src/server/docs/web/
COPY server/console/web/ ./
RUN npm run build && npm run build --prefix /src/server/docs/web

FROM golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOTOOLCHAIN=local
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
COPY --from=web /src/server/docs/dist server/docs/dist
COPY --from=web /src/server/console/page/dist server/console/page/dist
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go build -trimpath -ldflags "-s -w" -o /hcp ./cmd/hcp

# One static binary and the certificates to verify peers with; no shell, no root.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /hcp /hcp
USER 65532:65532
ENTRYPOINT ["/hcp"]
