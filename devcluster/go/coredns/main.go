// CoreDNS with the plugins that a cluster's own DNS needs and no other: the
// full program links cloud libraries that a development cluster never calls.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() {
	// The order in which a request passes through the plugins.
	dnsserver.Directives = []string{
		"reload", "ready", "health", "errors", "cache", "kubernetes", "loop", "forward",
	}
	coremain.Run()
}
