//go:build tools

// Package tools pins Traefik, which serves the Gateway API here, and that API's own kinds.
package tools

import (
	_ "github.com/traefik/traefik/v3/cmd/traefik"
	_ "sigs.k8s.io/gateway-api/apis/v1"
)
