//go:build tools

// Package tools pins Envoy Gateway, which configures Envoy from the Gateway API.
package tools

import _ "github.com/envoyproxy/gateway/cmd/envoy-gateway"
