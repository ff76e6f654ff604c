//go:build tools

// Package tools pins BuildKit's two programs: `go install pkg@version` refuses
// a module that has exclude directives.
package tools

import (
	_ "github.com/moby/buildkit/cmd/buildctl"
	_ "github.com/moby/buildkit/cmd/buildkitd"
)
